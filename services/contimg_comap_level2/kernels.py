"""Compiled sums over channels and samples. One thread, fixed order: the same bytes whatever else runs."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["CLIP", "airmass_sums", "mend", "pair_rms", "project"]

Floats = NDArray[np.float64]
CLIP = 6.0
"""Differences of neighbouring samples beyond so many sigma are spikes, no noise."""
FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be split over the lanes of a register; NaN keep their meaning."""
TILE = 1024
"""Samples whose sums stay in the first cache."""


@numba.njit(cache=True, fastmath=FAST, nogil=True)
def _sum(values: NDArray[np.float32]) -> float:
    total = np.float32(0.0)
    for i in range(values.size):
        total += values[i]
    return float(total)


@numba.njit(cache=True, nogil=True)
def mend(power: NDArray[np.float32], holes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Replace what is not finite by the last finite number before it; only channels with such numbers are searched.

    Parameters
    ----------
    power
        (channel, time) [counts], changed in place.
    holes
        (time,), gets the number of channels that were replaced, index of sample.

    Returns
    -------
    ndarray
        Replaced samples per channel, shape (channel,), pure numbers.
    """
    lost = np.zeros(power.shape[0], np.int64)
    for channel in range(power.shape[0]):
        row = power[channel]
        if np.isfinite(_sum(row)):
            continue
        last = np.float32(0.0)
        for i in range(row.size):
            if np.isfinite(row[i]):
                last = row[i]
                break
        for i in range(row.size):
            if np.isfinite(row[i]):
                last = row[i]
            else:
                row[i] = last
                holes[i] += 1
                lost[channel] += 1
    return lost


@numba.njit(cache=True, fastmath=FAST, nogil=True)
def _pair_variance(row: NDArray[np.float32], limit: float) -> tuple[float, int, float]:
    total, largest, count = 0.0, np.float32(0.0), 0
    for i in range(row.size // 2):
        difference = row[2 * i] - row[2 * i + 1]
        size = abs(difference)
        largest = max(largest, size)
        if size <= limit:
            total += difference * difference
            count += 1
    return total, count, float(largest)


@numba.njit(cache=True, nogil=True)
def pair_rms(power: NDArray[np.float32], clip: float) -> Floats:
    """Return the rms of differences of neighbouring samples over the root of 2.

    Parameters
    ----------
    power
        (channel, time), any ``unit``.
    clip
        Differences beyond this many sigma are left out, a pure number: a cosmic spike is not noise.

    Returns
    -------
    ndarray
        Shape (channel,), in ``unit``.
    """
    found = np.empty(power.shape[0])
    for channel in range(power.shape[0]):
        total, count, largest = _pair_variance(power[channel], np.inf)
        limit = clip * np.sqrt(total / max(count, 1))
        for _ in range(4):
            if largest <= limit or count == 0:
                break
            total, count, _ = _pair_variance(power[channel], limit)
            smaller = clip * np.sqrt(total / max(count, 1))
            if smaller > 0.99 * limit:
                break
            limit = smaller
        found[channel] = np.sqrt(0.5 * total / max(count, 1))
    return found


@numba.njit(cache=True, fastmath=FAST, nogil=True)
def airmass_sums(power: NDArray[np.float32], first: Floats, last: Floats, airmass: Floats) -> tuple[Floats, Floats]:
    """Return mean of power over gain and its product with airmass.

    Parameters
    ----------
    power
        (channel, time) [counts].
    first, last
        One over the gain at the first and at the last sample, (channel,) [K/counts]; linear between.
    airmass
        Without its mean, (time,), a pure number.

    Returns
    -------
    tuple of ndarray
        Mean and mean product, (channel,) each [K].
    """
    channels, n = power.shape
    mean, product = np.empty(channels), np.empty(channels)
    step = 1.0 / max(n - 1, 1)
    for channel in range(channels):
        start, slope = first[channel], (last[channel] - first[channel]) * step
        total, crossed = 0.0, 0.0
        for i in range(n):
            x = power[channel, i] * (start + slope * i)
            total += x
            crossed += x * airmass[i]
        mean[channel], product[channel] = total / n, crossed / n
    return mean, product


@numba.njit(cache=True, fastmath=FAST, nogil=True)
def project(
    power: NDArray[np.float32],
    scale: NDArray[np.float32],
    base: NDArray[np.float32],
    weights: NDArray[np.float32],
    airmass: NDArray[np.float32],
    bins: NDArray[np.int64],
    sums: NDArray[np.float32],
) -> None:
    """Add weighted sums over the channels to time streams.

    Parameters
    ----------
    power
        (channel, time) [counts].
    scale
        One over the gain at the first and the last sample, (2, channel) [K/counts].
    base
        Level and slope with airmass that are taken off, (2, channel) [K].
    weights
        Of the three projections and of the bin, (4, channel) [1/K].
    airmass
        Without its mean, (time,), a pure number.
    bins
        Bin of each channel, (channel,), index; below 0: the channel is not used.
    sums
        Three projections, then the bins, (3 + bin, time), dimensionless, added to.
    """
    channels, n = power.shape
    step = np.float32(1.0 / max(n - 1, 1))
    for begin in range(0, n, TILE):
        end = min(begin + TILE, n)
        for channel in range(channels):
            place = bins[channel]
            if place < 0:
                continue
            start = scale[0, channel]
            slope = (scale[1, channel] - start) * step
            level, lean = base[0, channel], base[1, channel]
            a, b, c, d = weights[0, channel], weights[1, channel], weights[2, channel], weights[3, channel]
            for i in range(begin, end):
                x = power[channel, i] * (start + slope * np.float32(i)) - level - lean * airmass[i]
                sums[0, i] += a * x
                sums[1, i] += b * x
                sums[2, i] += c * x
                sums[3 + place, i] += d * x
