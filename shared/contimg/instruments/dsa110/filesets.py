"""Which subband files are one recording, and what is wrong with some of them. Pure but for reading a header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from contimg.errors import BadInput
from contimg.models.instrument import FileSet, Piece, Refusal
from contimg.radio import coordinates
from contimg.radio.telescopes import Telescope
from contimg.radio.uvh5.read import Header, name_stamp, read_header

__all__ = ["DEC_TOLERANCE_DEG", "NAME_TOLERANCE_S", "cluster", "file_set", "piece_of"]

DAY_S = 86400.0
NAME_TOLERANCE_S = 120.0
"""Spread of the stamps in the names of one set above which its record carries a warning [s]; true sets reach 82 s."""
DEC_TOLERANCE_DEG = 0.01
"""Largest difference of the pointing inside a set [deg]."""
_FREQ_TOLERANCE_HZ = 1e4


def piece_of(path: Path, telescope: Telescope, subbands: int) -> Piece:
    """Return what a file holds.

    Raises
    ------
    BadInput
        If it cannot be used or is of another telescope.
    """
    head = read_header(path, subbands)
    if not telescope.is_named(head.telescope):
        text = f"{path} is of telescope {head.telescope!r}, which no instrument here knows; install its instrument"
        raise BadInput(text, reason="unknown-telescope")
    return Piece(path, head.role, coordinates.isot(head.start_jd), coordinates.utc(head.start_jd), head)


def cluster(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Put files together whose first integrations coincide within half an integration; a whole-band file stands alone.

    The time in the data decides; names differ by up to 82 s inside real sets (``dsa110.md`` 1.6).
    """
    sets: list[list[Piece]] = []
    for piece in sorted(pieces, key=_order):
        first = sets[-1][0] if sets else None
        if first is not None and _together(first.header, piece.header):
            sets[-1].append(piece)
        else:
            sets.append([piece])
    return sets


def _order(piece: Piece) -> tuple[bool, float, str]:
    return piece.header.subband is None, piece.header.first_jd, str(piece.path)


def _together(a: Header, b: Header) -> bool:
    near = abs(b.first_jd - a.first_jd) * DAY_S <= a.integration_s / 2
    if a.subband is None or b.subband is None:
        return a.subband is b.subband and a.first_jd == b.first_jd  # copies of one whole-band file
    return near


def file_set(pieces: Sequence[Piece], expect: int, least: int) -> FileSet:
    """Sort out other pointings, other shapes and other frequencies of one cluster.

    Parameters
    ----------
    pieces
        Of one recording.
    expect
        Subband files of a full set.
    least
        Subband files that suffice at the deadline.
    """
    first = pieces[0]
    whole = first.header.subband is None
    used, refused = _numbered(pieces, expect)
    for reason, words, value, tolerance in _RULES:
        used = _without_odd_ones(used, refused, reason, words, value(used), tolerance)
    used.sort(key=lambda piece: (piece.role, str(piece.path)))
    return FileSet(
        id=first.id,
        start=first.start,
        pieces=tuple(used),
        expected=("all",) if whole else tuple(f"sb{number:02d}" for number in range(expect)),
        least=1 if whole else min(least, expect),
        tolerance_s=0.0 if whole else first.header.integration_s / 2,
        refused=refused,
        warnings=_name_warnings(used),
    )


def _numbered(pieces: Sequence[Piece], expect: int) -> tuple[list[Piece], dict[Path, Refusal]]:
    """Part the files from those whose subband number a set of this size does not have."""
    odd = [piece for piece in pieces if (piece.header.subband or 0) >= expect]
    words = f"names a subband that a set of {expect} does not have (sb00 to sb{expect - 1:02d}); mend the name"
    refused = {piece.path: Refusal("out-of-bounds", f"{piece.path} {words} or remove it") for piece in odd}
    return [piece for piece in pieces if piece.path not in refused], refused


Value = Callable[[Header], float]


def _sb00_hz(pieces: Sequence[Piece]) -> Value:
    """Return the function that says where a file's frequency and subband number put the first channel of sb00.

    The step between subbands is the median over all pairs, so that a few files with a wrong frequency stand out.
    """
    first = {piece.header.subband or 0: piece.header.freq_hz for piece in pieces}
    steps = [(first[a] - first[b]) / (a - b) for a in first for b in first if a > b]
    step = float(np.median(steps)) if steps else 0.0
    return lambda head: head.freq_hz - (head.subband or 0) * step


_RULES: tuple[tuple[str, str, Callable[[Sequence[Piece]], Value], float], ...] = (
    ("mixed-dec", "points at Dec {value:.4f}°", lambda _: lambda head: head.app_dec_deg, DEC_TOLERANCE_DEG),
    ("wrong-shape", "holds {value:.0f} rows", lambda _: lambda head: float(head.rows), 0.5),
    ("wrong-shape", "holds {value:.0f} channels", lambda _: lambda head: float(head.channels), 0.5),
    ("wrong-frequency", "puts sb00 at {value:.0f} Hz", _sb00_hz, _FREQ_TOLERANCE_HZ),
)
"""Quarantine word, what is said of an odd file, the value that must agree, by how much it may differ."""


def _without_odd_ones(
    pieces: list[Piece], refused: dict[Path, Refusal], reason: str, words: str, value: Value, tolerance: float
) -> list[Piece]:
    """Refuse the files whose value differs from that of the majority; without a majority all of them."""
    if len(pieces) < 2:
        return pieces
    values = {piece.path: value(piece.header) for piece in pieces}
    votes = Counter({path: sum(abs(w - v) <= tolerance for w in values.values()) for path, v in values.items()})
    path, most = votes.most_common(1)[0]
    common = values[path] if 2 * most > len(values) else float("nan")
    others = "the others of its set do not" if np.isfinite(common) else "its file set disagrees with itself"
    for each, v in values.items():
        if not abs(v - common) <= tolerance:
            said = words.format(value=v)
            refused[each] = Refusal(reason, f"{each} {said}, {others}; remove the file of the other recording")
    return [piece for piece in pieces if piece.path not in refused]


def _name_warnings(pieces: Sequence[Piece]) -> tuple[str, ...]:
    stamps = [stamp for stamp in (name_stamp(piece.path.name) for piece in pieces) if stamp is not None]
    spread = (max(stamps) - min(stamps)).total_seconds() if stamps else 0.0
    if spread <= NAME_TOLERANCE_S:
        return ()
    text = f"the names of this file set differ by {spread:.0f} s (limit {NAME_TOLERANCE_S:.0f} s)"
    return (f"{text}; its data times agree, so it is used",)
