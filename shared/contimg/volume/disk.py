"""Writing that survives a power cut: temporary file, fsync, rename, fsync of the directory."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from pathlib import Path

from contimg import crash
from contimg.volume.files import sha256_file

__all__ = ["checksum", "make_read_only", "remove_tree", "sync_directory", "sync_tree", "write_durable"]

_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def sync_directory(directory: Path) -> None:
    """Make the names inside a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durable(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old text or the new one, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # every container has a process 1
    with temporary.open("w") as output:
        output.write(text)
        output.flush()
        os.fsync(output.fileno())
    crash.point("disk.written")
    temporary.replace(path)
    crash.point("disk.replaced")
    sync_directory(path.parent)


def sync_tree(root: Path) -> None:
    """Make every file and directory below ``root``, and ``root`` itself, durable."""
    for directory, _, files in os.walk(root, topdown=False):
        for name in files:
            path = os.path.join(directory, name)  # noqa: PTH118 - a Path per file of a large MS is slow
            if not os.path.islink(path):  # noqa: PTH114 - same
                _sync_file(path)
        sync_directory(Path(directory))


def _sync_file(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksum(path: Path) -> tuple[int, str]:
    """Return bytes and sha256 of a product.

    Returns
    -------
    tuple of int and str
        Of a file: its size and sha256. Of a directory: the sum of the sizes, and the sha256 of the sorted lines
        ``<sha256>  <relative path>`` of its files.
    """
    if not path.is_dir():
        return path.stat().st_size, sha256_file(path)
    files = sorted(item for item in path.rglob("*") if item.is_file())
    sums = [(item.relative_to(path).as_posix(), *checksum(item)) for item in files]
    lines = "".join(f"{digest}  {name}\n" for name, _, digest in sums)
    return sum(size for _, size, _ in sums), hashlib.sha256(lines.encode()).hexdigest()


def make_read_only(root: Path) -> None:
    """Take the write permission from everything below ``root``, and last from ``root`` itself.

    A root without write permission is therefore complete, and a second call costs nothing.
    """
    if not root.stat().st_mode & _WRITE:
        return
    for directory, _, files in os.walk(root, topdown=False):
        for name in files:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~_WRITE)
        here = Path(directory)
        here.chmod(here.stat().st_mode & ~_WRITE)


def remove_tree(root: Path) -> None:
    """Remove a file or a directory tree, read-only or not; what vanishes meanwhile is no error."""
    if not root.is_dir() or root.is_symlink():
        root.unlink(missing_ok=True)
        return
    for directory, _, _ in os.walk(root):
        here = Path(directory)
        here.chmod(here.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(root, ignore_errors=True)
