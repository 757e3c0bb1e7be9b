"""Run the worker of stage apply: ``python -m contimg_apply``."""

from contimg.worker.worker import main

main("apply")
