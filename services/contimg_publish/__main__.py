"""Run the worker of stage publish: ``python -m contimg_publish``."""

from contimg.process import start

start("publish", "contimg.worker.worker:serve")
