"""Entry point of the container: `python -m contimg_mosaic`."""

from contimg.stage.worker import main

main("mosaic")
