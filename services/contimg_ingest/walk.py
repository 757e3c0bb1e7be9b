"""The files below ``incoming/``: found anew at every scan, symlinks followed once, ill directories told in words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

__all__ = ["Found", "Kind", "Walk", "kind_of", "walk"]

_SUBBAND_ENDINGS = {".hdf5", ".h5", ".uvh5"}
_UVFITS_ENDINGS = {".fits", ".uvfits", ".uvf"}


class Kind(Enum):
    """What a file is by its name."""

    UVH5 = "uvh5"
    UVFITS = "uvfits"
    IGNORED = "ignored"


@dataclass(frozen=True)
class Found:
    """One raw file in its present state; equal states are equal objects."""

    path: Path
    kind: Kind
    size: int
    mtime_ns: int


@dataclass
class Walk:
    """What lies below ``incoming/``."""

    files: list[Found] = field(default_factory=list)
    ignored: int = 0
    """Files that are none of ours: being written, calibration side files, unknown endings."""
    problems: list[str] = field(default_factory=list)
    """One sentence per directory or file that could not be looked at."""


def kind_of(name: str) -> Kind:
    """Tell by the name what a file is; ``*_incomplete*`` is being written, ``*spl*`` belongs to another program."""
    ending = Path(name).suffix.lower()
    if "_incomplete" in name or "spl" in name or name.startswith("."):
        return Kind.IGNORED
    if ending in _SUBBAND_ENDINGS:
        return Kind.UVH5
    return Kind.UVFITS if ending in _UVFITS_ENDINGS else Kind.IGNORED


def walk(top: Path) -> Walk:
    """List the raw files below a directory in the order of their paths."""
    result = Walk()
    for directory, names in _directories(top, result):
        for name in sorted(names):
            kind = kind_of(name)
            if kind is Kind.IGNORED:
                result.ignored += 1
                continue
            path = directory / name
            try:
                status = path.stat()
            except OSError as error:
                result.problems.append(f"{path} cannot be looked at ({error.strerror}); mend or remove it")
                continue
            result.files.append(Found(path, kind, status.st_size, status.st_mtime_ns))
    return result


def _directories(top: Path, result: Walk) -> Iterator[tuple[Path, list[str]]]:
    """Yield every directory once, whatever symlinks point at it."""
    seen: set[tuple[int, int]] = set()

    def complain(error: OSError) -> None:
        result.problems.append(f"{error.filename} cannot be read ({error.strerror}); mend its permissions or remove it")

    for directory, children, names in os.walk(top, followlinks=True, onerror=complain):
        try:
            status = os.stat(directory)  # noqa: PTH116 - os.walk gives strings
        except OSError as error:
            complain(error)
            children.clear()
            continue
        if (status.st_dev, status.st_ino) in seen:
            children.clear()
            result.problems.append(f"{directory} leads back to a directory already read; remove that symlink")
            continue
        seen.add((status.st_dev, status.st_ino))
        children.sort()
        yield Path(directory), names
