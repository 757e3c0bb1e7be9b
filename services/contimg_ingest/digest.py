"""Digests of raw files: cheap (two MiB are read) and part of every recipe."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from contimg.limits import MIB
from contimg.volume import disk

__all__ = ["content", "of_file", "of_set"]


def content(path: Path) -> str:
    """Return ``<size> <sha256 of the first MiB> <sha256 of the last MiB>``.

    Raises
    ------
    BadInput
        If it is no regular file.
    OSError
        If the file cannot be read.
    """
    with disk.open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        first = stream.read(MIB)
        stream.seek(max(0, size - MIB))
        last = stream.read(MIB)
    return f"{size} {hashlib.sha256(first).hexdigest()} {hashlib.sha256(last).hexdigest()}"


def of_file(role: str, file_content: str) -> str:
    """Return the digest of one raw file in its role (``sb00``, ``scan-3``)."""
    return hashlib.sha256(f"{role} {file_content}".encode()).hexdigest()


def of_set(digests: Iterable[str]) -> str:
    """Return the digest of a file set: sha256 over the digests of its files in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
