"""Run the worker of stage destripe: ``python -m contimg_comap_destripe``."""

from contimg.process import start

start("destripe", "contimg.worker.worker:serve")
