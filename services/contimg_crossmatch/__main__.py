"""Entry point of the container: `python -m contimg_crossmatch`."""

from contimg.worker.worker import main

main("crossmatch")
