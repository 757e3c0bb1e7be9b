"""Watch the incoming directories and write observation records: ``python -m contimg_ingest``."""

from contimg.process import start

if __name__ == "__main__":
    start("ingest", "contimg_ingest.watch:serve")
