"""The files below the incoming directories, found anew at every scan; what is no plain file is told, never opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Found", "Walk", "walk"]

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One file in its present state; equal states are equal objects."""

    path: Path
    root: int
    """Number of the incoming directory it lies in."""
    name: str
    """Path relative to that directory."""
    size: int
    mtime_ns: int
    changed_ns: int = field(compare=False)
    """Last change of content or attributes: no program can set it back, so it tells when the file arrived."""


@dataclass
class Walk:
    """What lies below the incoming directories."""

    files: list[Found] = field(default_factory=list)
    """In the order of roots and paths; hidden ones are left out."""
    problems: list[str] = field(default_factory=list)
    """One sentence per directory or file that could not be looked at."""


def walk(roots: Sequence[Path]) -> Walk:
    """List the regular files below some directories."""
    result = Walk()
    real = [os.path.realpath(root) for root in roots]
    seen: set[tuple[int, int]] = set()
    for number, root in enumerate(roots):
        for directory in _directories(root, seen, result.problems):
            _look(directory, number, root, real, result)
    return result


def _directories(root: Path, seen: set[tuple[int, int]], problems: list[str]) -> Iterator[list[os.DirEntry[str]]]:
    """Yield the entries of every directory below a root once, sorted by name."""
    waiting = [str(root)]
    while waiting:
        place = waiting.pop()
        try:
            status = os.stat(place)  # noqa: PTH116 - a Path per directory of a large tree is slow
            if (status.st_dev, status.st_ino) in seen:  # one root inside another
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            problems.append(f"{_said(place)} cannot be read ({error.strerror}); mend its permissions or remove it")
            continue
        waiting += [entry.path for entry in reversed(found) if entry.is_dir(follow_symlinks=False)]
        yield found


def _look(entries: list[os.DirEntry[str]], number: int, root: Path, real: Sequence[str], result: Walk) -> None:
    for entry in entries:
        if entry.name.startswith(".") or entry.is_dir(follow_symlinks=False):
            continue
        try:
            status = entry.stat()
            problem = _problem(entry, status, real)
        except OSError as error:
            problem = f"cannot be looked at ({error.strerror}); mend or remove it"
        if problem:
            result.problems.append(f"{_said(entry.path)} {problem}")
            continue
        name = os.path.relpath(entry.path, root)
        times = status.st_mtime_ns, max(status.st_mtime_ns, status.st_ctime_ns)
        result.files.append(Found(Path(entry.path), number, name, status.st_size, *times))


def _problem(entry: os.DirEntry[str], status: os.stat_result, real: Sequence[str]) -> str:
    """Say why an entry is no file to open; nothing if it is one."""
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if not any(target == top or target.startswith(f"{top}{os.sep}") for top in real):
            return (
                "is a link out of the incoming directories; copy the file there, or add its directory to "
                "CONTIMG_INCOMING_DIR"
            )
        if stat.S_ISDIR(status.st_mode):
            return "leads back to a directory that is read anyway; remove that symlink"
    if not stat.S_ISREG(status.st_mode):
        return f"is {_KINDS.get(stat.S_IFMT(status.st_mode), 'no file')}; remove it, only files are read"
    if _said(entry.path) != entry.path:
        return "has a name that is no UTF-8; rename it"
    return ""


def _said(path: str) -> str:
    """Return a path as it can be written: bytes that are no UTF-8 become question marks."""
    return path.encode("utf-8", "replace").decode()
