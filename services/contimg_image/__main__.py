"""Run the worker of stage image: ``python -m contimg_image``."""

from contimg.worker.worker import main

main("image")
