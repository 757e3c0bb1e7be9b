"""Entry point of the container: `python -m contimg_mosaic`."""

from contimg.worker.worker import main

main("mosaic")
