"""Run the keeper of a shard: ``python -m contimg.keeper``."""

from contimg.process import start

if __name__ == "__main__":
    start("keeper", "contimg.keeper.service:serve")
