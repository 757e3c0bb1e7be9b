"""Run the worker of stage apply: ``python -m contimg_apply``."""

from contimg.process import start

start("apply", "contimg.worker.worker:serve")
