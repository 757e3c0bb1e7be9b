"""Run the worker of stage solve: ``python -m contimg_solve``."""

from contimg.stage.worker import main

main("solve")
