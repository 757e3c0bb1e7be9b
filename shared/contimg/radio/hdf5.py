"""Opening an HDF5 file of somebody else: nothing outside it is followed, nothing it only claims is believed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from contimg.errors import BadInput
from contimg.radio.rawfile import check_file

__all__ = ["opened"]

MOST_EXPANDED = 8
"""Bytes of a dataset per byte of its file: noise compresses to no less than a half, integers widen to twice."""
SPARED_BYTES = 1 << 20
"""A dataset that small is read whatever its file's size."""
MOST_OBJECTS = 10_000
"""Links in a file; a UVH5 file has about 50."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading after its links and the sizes it claims were checked.

    Raises
    ------
    BadInput
        If it is no regular file, empty, no HDF5, truncated, leads to another file, or claims arrays that cannot be
        inside it. What is raised inside the ``with`` by reading becomes one too.
    OSError
        If it cannot be opened: that is not the file's fault and may pass.
    """
    check_file(path)
    if not h5py.is_hdf5(path):
        raise BadInput(f"{path} is no HDF5 file (wrong signature); remove it or copy it again")
    try:
        with h5py.File(path, "r", locking=False) as file:
            _check(path, file)
            yield file
    except (OSError, RuntimeError, LookupError, AttributeError, TypeError, ValueError) as error:
        reason = "truncated" if "truncated" in str(error) else "unreadable"
        raise BadInput(f"{path} cannot be read as HDF5 ({_first_line(error)}); copy it again", reason=reason) from error


def _first_line(error: Exception) -> str:
    return (str(error.args[0]) if error.args else repr(error)).splitlines()[0]


def _check(path: Path, file: h5py.File) -> None:
    """Walk over all hard links; soft links can then lead to nothing that was not seen."""
    most = MOST_EXPANDED * path.stat().st_size + SPARED_BYTES
    waiting: list[h5py.Group] = [file]
    seen = {h5py.h5o.get_info(file.id).addr}
    links = 0
    while waiting:
        group = waiting.pop()
        for name in group:
            links += 1
            if links > MOST_OBJECTS:
                raise BadInput(f"{path} holds more than {MOST_OBJECTS} HDF5 objects; it is no raw file, remove it")
            found = _inside(path, group, name)
            if isinstance(found, h5py.Dataset):
                _check_dataset(path, found, most)
            elif isinstance(found, h5py.Group) and h5py.h5o.get_info(found.id).addr not in seen:
                seen.add(h5py.h5o.get_info(found.id).addr)
                waiting.append(found)


def _inside(path: Path, group: h5py.Group, name: str) -> Any:
    """Return the object of a hard link, None for a soft one, which is reached on its own path."""
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        target = f"{link.filename}:{link.path}"
        where = f"{group.name.rstrip('/')}/{name}"
        raise BadInput(
            f"{path}: {where} is a link to {target}, outside the file; write the data into it", reason="link"
        )
    return group[name] if isinstance(link, h5py.HardLink) else None


def _check_dataset(path: Path, data: h5py.Dataset, most: int) -> None:
    outside = [str(name) for name, *_ in data.external or ()]
    if data.is_virtual:
        outside += [source.file_name for source in data.virtual_sources() if source.file_name != "."]
    if outside:
        text = f"{path}: the numbers of {data.name} lie in {outside[0]}, outside the file"
        raise BadInput(f"{text}; write the data into it", reason="link")
    cells = max(data.size or 0, _product(data.chunks))
    if cells * data.dtype.itemsize > most:
        text = f"{path}: {data.name} claims shape {data.shape} of {data.dtype}, more than a file of "
        text += f"{path.stat().st_size} bytes can hold"
        raise BadInput(f"{text}; copy it again", reason="truncated")


def _product(chunks: tuple[int, ...] | None) -> int:
    total = 1
    for length in chunks or ():
        total *= length
    return total
