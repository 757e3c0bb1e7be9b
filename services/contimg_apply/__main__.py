"""Run the worker of stage apply: ``python -m contimg_apply``."""

from contimg.stage.worker import main

main("apply")
