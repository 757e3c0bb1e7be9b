"""Files that are there completely or not at all, and checksums."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path

from contimg.errors import BadConfig, ResourceExhausted

__all__ = ["fsync_path", "make_directory", "sha256_file", "write_atomic"]

FULL = {errno.ENOSPC, errno.EDQUOT}
PROBE_BYTES = 64 * 1024
"""A full file system still takes empty files."""


def fsync_path(path: Path) -> None:
    """Flush a file or a directory to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, text: str) -> None:
    """Write a file under a temporary name, flush it, rename it, flush the directory.

    Raises
    ------
    ResourceExhausted
        If the disk is full.
    BadConfig
        If something else is in the way.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        fsync_path(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if error.errno in FULL:
            raise ResourceExhausted(
                f"{path} cannot be written: {error.strerror}; free space and start again"
            ) from error
        raise BadConfig(f"{path} cannot be written: {error.strerror}; mend that and start again") from error


def make_directory(path: Path, purpose: str) -> Path:
    """Make a directory and prove that it can be written to.

    Raises
    ------
    ResourceExhausted
        If its disk is full.
    BadConfig
        Naming the directory, what it is for and the cure.
    """
    probe = path / f".contimg-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(PROBE_BYTES))
    except OSError as error:
        sentence = f"{path} ({purpose}) cannot be written: {error.strerror}"
        if error.errno in FULL:
            raise ResourceExhausted(f"{sentence}; free space there and start again") from error
        raise BadConfig(f"{sentence}; choose another directory") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return path


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
