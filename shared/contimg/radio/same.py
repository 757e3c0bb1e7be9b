"""Whether two products hold the same: bit for bit, but for the header fields that may differ (docs/same-bytes.md).

Product data - arrays, tables, columns - of one task are the same to the last bit whatever made them. What may differ
is named in :data:`MAY_DIFFER` and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from casacore.tables import table

from contimg.errors import BadInput

__all__ = ["MAY_DIFFER", "differences"]

MAY_DIFFER = frozenset({"GROUPID", "PIPEVER"})
"""Cards of a FITS header, and words of an ECSV header, that are no function of the task: which group asked first, and
the version of the software."""

_WORD = re.compile(r"#.*\b(\w+):")


def differences(one: Path, other: Path) -> list[str]:
    """Return what of two products differs, in words; nothing when they hold the same.

    Parameters
    ----------
    one, other
        Files, or directories (measurement sets, calibration tables and CASA images are compared by columns and
        keywords, other directories file by file).

    Raises
    ------
    BadInput
        If one of them cannot be read as what its name says.
    """
    if one.is_dir() != other.is_dir():
        return ["one is a file, the other a directory"]
    try:
        return list(_directories(one, other) if one.is_dir() else _files(one, other))
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise BadInput(f"{one} and {other} cannot be compared: {error}; check them with their own tools") from error


def _files(one: Path, other: Path) -> Iterator[str]:
    left, right = one.read_bytes(), other.read_bytes()
    if left == right:
        return
    kinds: dict[str, Callable[[Path, Path], Iterator[str]]] = {".fits": _fits, ".ecsv": _ecsv, ".json": _json}
    if one.suffix in kinds:
        yield from kinds[one.suffix](one, other)
    elif len(left) != len(right):
        yield f"{len(left)} and {len(right)} bytes"
    else:
        different = np.flatnonzero(np.frombuffer(left, np.uint8) != np.frombuffer(right, np.uint8))
        yield f"{len(different)} of {len(left)} bytes, the first at {different[0]}"


def _fits(one: Path, other: Path) -> Iterator[str]:
    with fits.open(one, memmap=False) as left, fits.open(other, memmap=False) as right:
        if len(left) != len(right):
            yield f"{len(left)} and {len(right)} HDUs"
            return
        for number, (mine, theirs) in enumerate(zip(left, right, strict=True)):
            cards = [[c.image for c in hdu.header.cards if c.keyword not in MAY_DIFFER] for hdu in (mine, theirs)]
            for card in sorted({text[:8].strip() for text in set(cards[0]) ^ set(cards[1])}):
                yield f"HDU {number}, card {card}"
            if cards[0] != cards[1] and set(cards[0]) == set(cards[1]):
                yield f"HDU {number}, order of the cards"
            if _bytes(mine.data) != _bytes(theirs.data):
                yield f"HDU {number}, data"


def _ecsv(one: Path, other: Path) -> Iterator[str]:
    left, right = ([line for line in path.read_text().splitlines() if not _free(line)] for path in (one, other))
    if left != right:
        at = next((k for k, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), None)
        yield f"{len(left)} and {len(right)} lines" if at is None else f"line {at + 1}: {left[at][:80]!r}"


def _free(line: str) -> bool:
    found = _WORD.match(line)
    return found is not None and found[1] in MAY_DIFFER


def _json(one: Path, other: Path) -> Iterator[str]:
    left, right = json.loads(one.read_bytes()), json.loads(other.read_bytes())
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            if left.get(key) != right.get(key):
                yield f"key {key!r}"
    elif left != right:
        yield "its value"


def _directories(one: Path, other: Path) -> Iterator[str]:
    if (one / "table.dat").is_file() and (other / "table.dat").is_file():
        yield from _tables(one, other)
        inside: Callable[[Path], bool] = Path.is_dir  # the files of a table are what its columns are read from
    else:
        inside = Path.exists
    mine, theirs = ({path.name for path in side.iterdir() if inside(path)} for side in (one, other))
    for name in sorted(mine ^ theirs):
        yield f"{name} is in one of them only"
    for name in sorted(mine & theirs):
        yield from (f"{name}: {words}" for words in differences(one / name, other / name))


def _tables(one: Path, other: Path) -> Iterator[str]:
    left, right = (table(str(path), ack=False, lockoptions="usernoread") for path in (one, other))
    try:
        if left.nrows() != right.nrows():
            yield f"{left.nrows()} and {right.nrows()} rows"
            return
        if _keywords(left.getkeywords(), one) != _keywords(right.getkeywords(), other):
            yield "keywords"
        for name in sorted({*left.colnames()} ^ {*right.colnames()}):
            yield f"column {name} is in one of them only"
        for name in sorted({*left.colnames()} & {*right.colnames()}):
            yield from _columns(left, right, name)
    finally:
        left.close()
        right.close()


_CELLS = 16_000_000
"""Numbers of a column read at a time: 128 MB of complex64."""


def _columns(left: Any, right: Any, name: str) -> Iterator[str]:
    if repr(left.getcolkeywords(name)) != repr(right.getcolkeywords(name)):
        yield f"keywords of column {name}"
    rows = left.nrows()
    step = max(1, _CELLS // _cell_size(left, name)) if rows else 1
    for start in range(0, rows, step):
        mine, theirs = (side.getvarcol(name, start, min(step, rows - start)) for side in (left, right))
        for row, key in enumerate(mine, start):
            if _bytes(mine[key]) != _bytes(theirs[key]):
                yield f"column {name}, first in row {row}"
                return


def _cell_size(opened: Any, name: str) -> int:
    return int(np.size(opened.getcell(name, 0))) if opened.iscelldefined(name, 0) else 1


def _keywords(found: dict[str, Any], path: Path) -> str:
    """Return keywords as text; subtables are named by their absolute paths."""
    return repr(found).replace(str(path.resolve()), "").replace(str(path), "")


def _bytes(values: Any) -> bytes:
    """Return what is compared bit for bit, so that NaN is the same as NaN and 0 is not -0."""
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OU":
        return f"{values.dtype} {values.shape}".encode() + values.tobytes()
    return repr(values).encode()
