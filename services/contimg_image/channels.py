"""Which channels are imaged, and which of them are averaged before gridding."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from contimg.errors import BadConfig

__all__ = ["SMEARING_LOSS", "average_width", "channel_bins", "selected_channels"]

SMEARING_LOSS = 0.005
"""Mean loss of amplitude that averaging may cost at the half-power radius of the antenna beam."""

_RANGE = re.compile(r"\s*(\d+)\s*(?:~\s*(\d+)\s*)?")
_SPEED_OF_LIGHT = 299792458.0


def selected_channels(selection: str, count: int) -> list[range]:
    """Parse a channel selection in CASA's way.

    Parameters
    ----------
    selection
        ``first~last`` or single numbers, separated by ``;``, counted from 0, both ends included; empty: all.
    count
        Channels that there are.

    Returns
    -------
    list of range
        Ascending, not overlapping.

    Raises
    ------
    BadConfig
        If it cannot be read, leaves the band or overlaps.
    """
    if not selection.strip():
        return [range(count)]
    found = []
    for part in selection.split(";"):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise BadConfig(
                f"parameter 'channels' = {selection!r}: {part!r} is not like '4~6', ranges separated by ';'"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < count:
            raise BadConfig(f"parameter 'channels' = {selection!r}: {part!r} leaves the {count} channels 0~{count - 1}")
        found.append(range(first, last + 1))
    found.sort(key=lambda each: each.start)
    if any(left.stop > right.start for left, right in pairwise(found)):
        raise BadConfig(f"parameter 'channels' = {selection!r} names a channel twice; let its ranges not overlap")
    return found


def channel_bins(ranges: list[range], width: int, count: int) -> NDArray[np.int32]:
    """Return the number of the averaged channel to which each channel goes.

    Parameters
    ----------
    ranges
        Channels to use; no average reaches across the end of a range.
    width
        Channels per average; the last of a range may have fewer.
    count
        Channels that there are.

    Returns
    -------
    ndarray of int32, shape (count,)
        Index of the average, -1 where the channel is not used.
    """
    bins = np.full(count, -1, np.int32)
    start = 0
    for each in ranges:
        numbers = start + np.arange(len(each)) // width
        bins[each.start : each.stop] = numbers
        start = int(numbers[-1]) + 1
    return bins


def average_width(channel_hz: float, freq_hz: float, rms_baseline_m: float, dish_m: float) -> int:
    """Return how many channels may be averaged without losing sources inside the antenna beam.

    Over a band Δν the phase of a source at distance l turns by 2π Δν b l / c, so that its amplitude is
    sinc(Δν b l / c) ≈ 1 - (π Δν b l / c)² / 6; b² is averaged over the baselines, l is half of 1.03 λ/D.

    Parameters
    ----------
    channel_hz
        Width of a channel [Hz].
    freq_hz
        Middle of the band [Hz].
    rms_baseline_m
        Root of the mean squared length of the baselines [m].
    dish_m
        Diameter of a dish [m].
    """
    radius = 0.515 * _SPEED_OF_LIGHT / freq_hz / dish_m
    phase_per_hz = np.pi * rms_baseline_m * radius / _SPEED_OF_LIGHT
    widest = np.sqrt(6 * SMEARING_LOSS) / phase_per_hz
    return max(1, int(widest / abs(channel_hz)))
