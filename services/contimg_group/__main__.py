"""Run the worker of stage group: ``python -m contimg_group``."""

from contimg.stage.worker import main

main("group")
