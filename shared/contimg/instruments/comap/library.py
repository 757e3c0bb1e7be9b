"""Which observations there are below the level-1 directories, and which of them are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from contimg.errors import BadConfig, BadInput
from contimg.instruments.comap.site import observation_id, source_group

__all__ = ["Found", "Wish", "library", "obsids_of", "select"]


@dataclass(frozen=True)
class Found:
    """One level-1 file."""

    obsid: int
    source: str
    group: str
    bytes: int

    @property
    def id(self) -> str:
        """Return the id of the observation."""
        return observation_id(self.obsid)


@dataclass(frozen=True)
class Wish:
    """What a parameter file selects; empty means any."""

    sources: tuple[str, ...] = ()
    """Exact, or with ``*`` and ``?``."""
    groups: tuple[str, ...] = ()
    first: int = 0
    last: int | None = None
    obsids: tuple[int, ...] | None = None


def library(roots: Sequence[Path]) -> tuple[list[Found], list[str]]:
    """Return what lies below some directories, by obsid, and a sentence for each file that cannot be used.

    Raises
    ------
    BadConfig
        If a directory is not there.
    """
    from contimg.instruments.comap.recordings import pieces_of  # noqa: PLC0415 - numpy and h5py

    found: dict[int, Found] = {}
    told = []
    for root in roots:
        if not root.is_dir():
            raise BadConfig(f"level-1 directory {root} does not exist; mend level1_data_paths")
        for path in sorted(root.rglob("comap-*.hd5")):
            try:
                header = pieces_of(path)[0].header
                size, group = path.stat().st_size, source_group(header.source, header.comment)
                one = Found(header.obsid, header.source, group, size)
            except (BadInput, OSError, ValueError) as error:
                told.append(str(error))
                continue
            if one.obsid in found:
                told.append(f"{path}: obsid {one.obsid} is there already; the first file counts")
            found.setdefault(one.obsid, one)
    return [found[obsid] for obsid in sorted(found)], told


def select(files: Sequence[Found], wish: Wish) -> list[Found]:
    """Return the files that are meant, by obsid."""
    return [one for one in files if _meant(one, wish)]


def _meant(one: Found, wish: Wish) -> bool:
    if wish.obsids is not None and one.obsid not in wish.obsids:
        return False
    if wish.sources and not any(fnmatchcase(one.source, pattern) for pattern in wish.sources):
        return False
    if wish.groups and one.group not in wish.groups:
        return False
    return one.obsid >= wish.first and (wish.last is None or one.obsid <= wish.last)


def obsids_of(value: object, root: Path, where: str) -> tuple[int, ...] | None:
    """Return the obsids that a key names: a list, or a file with one per line; None: none is named.

    Raises
    ------
    BadConfig
        If the file cannot be read or something is no obsid.
    """
    if value in (None, "", []):
        return None
    words: list[object] = list(value) if isinstance(value, list) else [value]
    if isinstance(value, str):
        path = root / value
        try:
            words = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise BadConfig(f"{where}: the list of obsids {path} cannot be read ({error})") from error
    try:
        return tuple(int(str(word)) for word in words if str(word))
    except ValueError as error:
        raise BadConfig(f"{where}: {error}; give one obsid per line") from error
