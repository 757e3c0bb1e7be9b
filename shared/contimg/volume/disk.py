"""The one durable writer: nothing else in Contimg syncs, renames or replaces a file or a directory.

What gets a name is complete and flushed before, and the directory that holds the name is flushed after. Each
primitive passes a point of :mod:`contimg.crash` on either side of its step, so that a test can end the process at
every place that calls one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import itertools
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from contimg import crash
from contimg.errors import BadConfig, BadInput, ContimgError, ResourceExhausted

__all__ = [
    "check_writable", "checksum", "create", "link", "make", "move", "open_regular", "refusal", "remove", "rename",
    "seal", "set_aside", "sha256_file", "sync", "write",
]  # fmt: skip

FULL = {errno.ENOSPC, errno.EDQUOT}
PASSING = {errno.EAGAIN, errno.EBUSY, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT}
"""Of a disk or a machine in trouble for a while: trying again may help, as often as for anything else that passes."""
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}
_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_PROBE_BYTES = 64 * 1024
"""A full file system still takes empty files."""


# -- names ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _named(step: str, directory: Path) -> Iterator[None]:
    """Pass the points on either side of a step that changes a name, and make it durable."""
    crash.point(f"{step}.before")
    yield
    crash.point(f"{step}.after")
    _sync(directory)


@contextlib.contextmanager
def _temporary(path: Path, text: str) -> Iterator[Path]:
    """Give a flushed file with this text beside ``path``; errors of the disk become ours, no crumb stays."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # every container has a process 1, and names are short
    try:
        make(path.parent)
        with temporary.open("w", encoding="utf-8", newline="") as output:
            output.write(text)
            output.flush()
            os.fsync(output.fileno())
        yield temporary
    except OSError as error:
        raise refusal(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def refusal(path: Path, error: OSError) -> ContimgError:
    """Return the error of ours for a file that cannot be written: :class:`ResourceExhausted` when its disk is full."""
    if error.errno not in FULL:
        return BadConfig(f"{path} cannot be written: {error.strerror}; mend that and start again")
    there = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(there).free
    return ResourceExhausted(f"{path} cannot be written: {error.strerror} ({free} bytes are free); free space there")


def write(path: Path, text: str) -> None:
    """Write a small file and its parents so that a reader sees the old text or the new one, also after a power cut.

    Raises
    ------
    ResourceExhausted
        If the disk is full.
    BadConfig
        If something else is in the way.
    """
    with _temporary(path, text) as temporary, _named("write", path.parent):
        temporary.replace(path)


def create(path: Path, text: str) -> bool:
    """Write a small file that did not exist; False, and nothing is changed, if it does. Raises as :func:`write`."""
    with _temporary(path, text) as temporary:
        try:
            with _named("create", path.parent):
                path.hardlink_to(temporary)
        except FileExistsError:
            return False
    return True


def rename(source: Path, target: Path) -> None:
    """Give a file or directory another name on the same file system."""
    with _named("rename", target.parent):
        source.rename(target)


def move(source: Path, target: Path) -> bool:
    """Give a flushed directory its final name; False if a directory that is not empty is there already.

    From another file system it is copied beside the target first, as ``.tmp-<name>``.
    """
    make(target.parent)
    try:
        with _named("move", target.parent):
            source.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        if error.errno != errno.EXDEV:
            raise
        return _move_copy(source, target)
    return True


def _move_copy(source: Path, target: Path) -> bool:
    copy = target.parent / f".tmp-{source.name}"
    remove(copy)
    shutil.copytree(source, copy, symlinks=True)
    sync(copy)
    try:
        with _named("move.copied", target.parent):
            copy.rename(target)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        remove(copy)
        return False
    remove(source)
    return True


def link(name: Path, content: Path, mark: str, *, hard: bool) -> None:
    """Let a name lead to content, whatever file or link stood there: by hard link, or by relative symlink.

    Parameters
    ----------
    name, content
        Absolute.
    mark
        The link is made as ``.<name>.<mark>`` first.
    hard
        For a file that must be there for itself; a directory can be named by symlink only.
    """
    temporary = name.with_name(f".{name.name}.{mark}")
    temporary.unlink(missing_ok=True)
    if hard:
        temporary.hardlink_to(content)
    else:
        temporary.symlink_to(os.path.relpath(content, name.parent))
    with _named("link", name.parent):
        temporary.replace(name)
    temporary.unlink(missing_ok=True)  # the kernel leaves it when both are names of one file already


def set_aside(path: Path, why: str) -> Path:
    """Rename what stands in the way to the first free ``<name>.<why>-<n>`` and return that; nothing is deleted."""
    names = (path.with_name(f"{path.name}.{why}-{number}") for number in itertools.count(1))
    aside = next(name for name in names if not name.exists() and not name.is_symlink())
    rename(path, aside)
    return aside


def make(directory: Path) -> None:
    """Make a directory and its parents; each new name is durable."""
    if directory.is_dir():
        return
    make(directory.parent)
    directory.mkdir(exist_ok=True)
    _sync(directory.parent)


def check_writable(path: Path, purpose: str) -> Path:
    """Make a directory and prove that it can be written to.

    Raises
    ------
    ResourceExhausted
        If its disk is full.
    BadConfig
        Naming the directory, what it is for and the cure.
    """
    probe = path / f".contimg-{secrets.token_hex(8)}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(_PROBE_BYTES))
    except OSError as error:
        sentence = f"{path} ({purpose}) cannot be written: {error.strerror}"
        if error.errno in FULL:
            raise ResourceExhausted(f"{sentence}; free space there and start again") from error
        raise BadConfig(f"{sentence}; choose another directory") from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return path


# -- contents -------------------------------------------------------------------------------------------------------


def _sync(path: str | Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync(root: Path) -> None:
    """Make a file, or a directory with everything below it, durable."""
    if not root.is_dir():
        _sync(root)
    for directory, _, files in os.walk(root, topdown=False):
        for name in files:
            path = os.path.join(directory, name)  # noqa: PTH118 - a Path per file of a large tree is slow
            if not os.path.islink(path):  # noqa: PTH114 - same
                _sync(path)
        _sync(directory)
    crash.point("sync.after")


def seal(root: Path) -> None:
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
    crash.point("seal.after")


def remove(root: Path) -> None:
    """Remove a file or a directory tree, read-only or not; what vanishes meanwhile is no error."""
    if not root.is_dir() or root.is_symlink():
        root.unlink(missing_ok=True)
    for directory, _, _ in os.walk(root):  # of nothing, if it was a file
        here = Path(directory)
        with contextlib.suppress(FileNotFoundError):
            here.chmod(here.stat().st_mode | stat.S_IRWXU)
    shutil.rmtree(root, ignore_errors=True)
    crash.point("remove.after")


def open_regular(path: Path | str) -> io.BufferedReader:
    """Open a file for reading without ever waiting for somebody at its other end.

    Raises
    ------
    BadInput
        If it is no regular file: a named pipe, a socket or a device would hang the reader or never end.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:  # a socket cannot be opened
            raise
        raise BadInput(f"{path} is no regular file; put a file there or remove it") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BadInput(f"{path} is no regular file; put a file there or remove it")
    return os.fdopen(handle, "rb")


def sha256_file(path: Path) -> str:
    """Return the sha256 of a regular file as 64 hex digits; raises as :func:`open_regular`."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
