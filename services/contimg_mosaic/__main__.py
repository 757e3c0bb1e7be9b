"""Run the worker of stage mosaic: ``python -m contimg_mosaic``."""

from contimg.process import start

start("mosaic", "contimg.worker.worker:serve")
