"""Run the worker of stage solve: ``python -m contimg_solve``."""

from contimg.process import start

start("solve", "contimg.worker.worker:serve")
