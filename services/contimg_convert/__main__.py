"""Run the worker of stage convert: ``python -m contimg_convert``."""

from contimg.stage.worker import main

main("convert")
