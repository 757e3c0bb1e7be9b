"""Whether a committed run is what its manifest says; keeper and workers ask the same question."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from contimg.errors import Damaged
from contimg.models.manifest import Manifest

__all__ = ["check_products"]


def check_products(run: Path | str, manifest: Manifest) -> None:
    """Compare a run with its manifest by presence and size (content checksums are the archive's business).

    Raises
    ------
    Damaged
        Naming the first product that is missing or has another size.
    """
    for product in manifest.products:
        path = f"{run}/{product.path}"
        try:
            found = os.stat(path)  # noqa: PTH116 - thousands of them
        except OSError as error:
            raise Damaged(f"{path} is missing although the manifest of its run lists it; it is made again") from error
        if product.bytes and stat.S_ISREG(found.st_mode) and found.st_size != product.bytes:
            raise Damaged(f"{path} has {found.st_size} bytes, its manifest says {product.bytes}; it is made again")
