"""Run the host of a shard: ``python -m contimg.host``."""

from contimg.process import start

if __name__ == "__main__":
    start("host", "contimg.host.service:serve")
