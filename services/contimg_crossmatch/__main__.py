"""Run the worker of stage crossmatch: ``python -m contimg_crossmatch``."""

from contimg.process import start

start("crossmatch", "contimg.worker.worker:serve")
