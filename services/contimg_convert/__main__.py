"""Run the worker of stage convert: ``python -m contimg_convert``."""

from contimg.worker.worker import main

main("convert")
