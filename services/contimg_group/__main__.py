"""Run the worker of stage group: ``python -m contimg_group``."""

from contimg.worker.worker import main

main("group")
