"""Run the worker of stage group: ``python -m contimg_group``."""

from contimg.process import start

start("group", "contimg.worker.worker:serve")
