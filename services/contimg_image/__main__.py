"""Run the worker of stage image: ``python -m contimg_image``."""

from contimg.process import start

start("image", "contimg.worker.worker:serve")
