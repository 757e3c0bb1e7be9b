"""Entry point of the container: `python -m contimg_crossmatch`."""

from contimg.stage.worker import main

main("crossmatch")
