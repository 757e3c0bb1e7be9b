"""Run the worker of stage solve: ``python -m contimg_solve``."""

from contimg.worker.worker import main

main("solve")
