"""Run the worker of stage level2: ``python -m contimg_comap_level2``."""

from contimg.process import start

start("level2", "contimg.worker.worker:serve")
