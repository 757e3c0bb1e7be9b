"""Run the worker of stage image: ``python -m contimg_image``."""

from contimg.stage.worker import main

main("image")
