"""Entry point of the container: `python -m contimg_publish`."""

from contimg.stage.worker import main

main("publish")
