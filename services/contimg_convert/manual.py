"""The manual flag file: what people know and no statistic finds.

One line per flag, four fields separated by commas, ``*`` for all; ``#`` starts a comment::

    103, 2026-01-25T22:26:00/2026-01-25T22:31:00, 0-47, receiver warm
    *, *, 320-330, transmitter

Antenna by name, times UTC, channels counted from 0 at the lowest frequency, both ends included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from contimg.errors import BadConfig
from contimg.radio.coordinates import jd
from contimg.radio.visibilities import Visibilities

__all__ = ["ManualFlag", "apply_manual", "read_manual"]

_CHANNELS = re.compile(r"([0-9]+)(?:\s*-\s*([0-9]+))?")


@dataclass(frozen=True)
class ManualFlag:
    """One line of the file."""

    antenna: str
    start_jd: float
    end_jd: float
    first_channel: int
    last_channel: int
    reason: str


def read_manual(path: Path) -> tuple[ManualFlag, ...]:
    """Read a flag file.

    Raises
    ------
    BadConfig
        If a line is not understood; names file, line and field.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if text:
            found.append(_flag(text, f"{path}, line {number}"))
    return tuple(found)


def _flag(text: str, where: str) -> ManualFlag:
    fields = [field.strip() for field in text.split(",", 3)]
    if len(fields) != 4 or not all(fields):
        raise BadConfig(f"{where}: {text!r} needs the four fields antenna, start/end, channels, reason")
    antenna, times, channels, reason = fields
    start, end = (-np.inf, np.inf) if times == "*" else _times(times, where)
    low, high = (0, 1 << 30) if channels == "*" else _channels(channels, where)
    return ManualFlag(antenna, start, end, low, high, reason)


def _times(text: str, where: str) -> tuple[float, float]:
    try:
        start, end = (jd(datetime.fromisoformat(part)) for part in text.split("/"))
    except ValueError as error:
        raise BadConfig(f"{where}: time range {text!r} is not START/END in ISO 8601 ({error})") from error
    if end < start:
        raise BadConfig(f"{where}: time range {text!r} ends before it starts and would flag nothing; swap the times")
    return start, end


def _channels(text: str, where: str) -> tuple[int, int]:
    found = _CHANNELS.fullmatch(text)
    if not found:
        raise BadConfig(f"{where}: channels {text!r} are not N or FIRST-LAST")
    low, high = int(found[1]), int(found[2] or found[1])
    if high < low:
        raise BadConfig(f"{where}: channels {text!r} end before they start and would flag nothing; swap the numbers")
    return low, high


def apply_manual(data: Visibilities, flags: tuple[ManualFlag, ...]) -> None:
    """Set the flags in place; a flag of an antenna that is not in the data does nothing."""
    index = {name: number for number, name in enumerate(data.antennas.names)}
    for item in flags:
        rows = (data.time_jd >= item.start_jd) & (data.time_jd <= item.end_jd)
        if item.antenna != "*":
            number = index.get(item.antenna, -1)
            rows &= (data.antenna1 == number) | (data.antenna2 == number)
        data.flag[rows, item.first_channel : item.last_channel + 1] = True
