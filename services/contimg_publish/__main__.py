"""Entry point of the container: `python -m contimg_publish`; carries out the plans too, so it reads CONTIMG_S3_URL."""

import os
from functools import cache

from contimg.archive import Archive
from contimg.servers.s3 import target_of
from contimg.volume.layout import Layout
from contimg.worker.worker import main
from contimg_publish.effect import publish_effect


@cache
def archive() -> Archive:
    """Return the archive of the environment: the bulk disk, and an object store where CONTIMG_S3_URL names one."""
    url = os.environ.get("CONTIMG_S3_URL")
    return Archive(Layout.from_environment(), target_of(url) if url else None)


main("publish", {"publish": publish_effect(archive)})
