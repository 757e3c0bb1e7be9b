"""Run the worker of stage convert: ``python -m contimg_convert``."""

from contimg.process import start

start("convert", "contimg.worker.worker:serve")
