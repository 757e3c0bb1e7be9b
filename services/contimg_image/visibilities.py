"""Stokes I of a calibrated measurement set, averaged in frequency, block of rows by block of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from contimg.errors import BadInput, DataQuality
from contimg.instruments import telescope_named
from contimg.radio.coordinates import aberration
from contimg.radio.ms.read import Block, Recording, blocks
from contimg_image.channels import average_width, channel_bins, selected_channels

__all__ = ["Visibilities", "average", "read_visibilities", "slanted"]

_SECONDS_PER_DAY = 86400.0
_MJD = 2400000.5


@dataclass(frozen=True)
class Visibilities:
    """Stokes I ready to grid; rows without any weight are left out."""

    uvw_m: NDArray[np.float64]
    """Shape (R, 3), in the sense of a measurement set, but for directions of the ICRS: without aberration."""
    freq_hz: NDArray[np.float64]
    """Shape (C,)."""
    data: NDArray[np.complex64]
    """Shape (R, C) [Jy]."""
    weight: NDArray[np.float32]
    """Shape (R, C) [Jy⁻²]: inverse variance of the real part; 0: flagged."""
    time_jd: NDArray[np.float64]
    """Centre of the integration, UTC, shape (R,)."""
    antenna1: NDArray[np.int32]
    antenna2: NDArray[np.int32]
    interval_s: float
    """Length of an integration [s]."""
    band_hz: tuple[float, float]
    """Outer edges of the channels used."""
    slope: tuple[float, float] = (0.0, 0.0)
    """a, b: from the third column of ``uvw_m`` a·u + b·v has been taken away; the image is a slanted SIN one."""

    @property
    def mean_freq_hz(self) -> float:
        """Frequency averaged with the weights."""
        per_channel = self.weight.sum(axis=0, dtype=np.float64)
        return float((per_channel * self.freq_hz).sum() / per_channel.sum())

    @property
    def span_jd(self) -> tuple[float, float]:
        """Start of the first and end of the last integration, UTC."""
        half = self.interval_s / _SECONDS_PER_DAY / 2
        return float(self.time_jd.min()) - half, float(self.time_jd.max()) + half


@nb.njit(cache=True, nogil=True)
def average(data, flag, weight, bins, total, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - a numba kernel
    """Average XX and YY to Stokes I, and channels to bins.

    I = (XX + YY) / 2 needs both; the variance of its real part is (1/w_xx + 1/w_yy) / 4. ``total`` and ``sums``,
    shape (R, C), receive the weighted mean and the sum of the weights.
    """
    last = data.shape[2] - 1
    for r in range(data.shape[0]):
        for c in range(data.shape[1]):
            to = bins[c]
            if to < 0 or flag[r, c, 0] or flag[r, c, last]:
                continue
            k = min(c, weight.shape[1] - 1)
            first, second = weight[r, k, 0], weight[r, k, last]
            value = 0.5 * (data[r, c, 0] + data[r, c, last])
            if first <= 0 or second <= 0 or not (np.isfinite(value.real) and np.isfinite(value.imag)):
                continue
            w = 4 * first * second / (first + second)
            total[r, to] += w * value
            sums[r, to] += w
        for to in range(total.shape[1]):
            if sums[r, to] > 0:
                total[r, to] /= sums[r, to]


def read_visibilities(
    recording: Recording,
    *,
    channels: str = "",
    channel_average: int = 0,
    min_uv_lambda: float = 0.0,
    report: Callable[[int, int, str], None] = lambda *_: None,
) -> Visibilities:
    """Read Stokes I of all cross-correlations, averaged in frequency.

    Parameters
    ----------
    recording
        The measurement set, see :func:`contimg.radio.ms.read.open_recording`.
    channels
        Selection like ``4~6;50~59``; empty: all.
    channel_average
        Channels per average; 0: see :func:`contimg_image.channels.average_width`.
    min_uv_lambda
        Visibilities on shorter baselines are left out [wavelengths].
    report
        Told after each block: rows done, rows in all, what.

    Raises
    ------
    BadInput
        If a column is missing or correlations are not two or four.
    DataQuality
        If nothing unflagged remains.
    """
    _check(recording)
    ranges = selected_channels(channels, len(recording.freqs_hz))
    used = recording.freqs_hz[np.concatenate([np.asarray(each) for each in ranges])]
    width = channel_average or _width(recording, float(used.mean()))
    bins = channel_bins(ranges, width, len(recording.freqs_hz))
    freq = np.array([recording.freqs_hz[bins == k].mean() for k in range(bins.max() + 1)])
    edges = (float(used.min()) - recording.width_hz / 2, float(used.max()) + recording.width_hz / 2)
    parts = [_averaged(block, recording, bins, freq, min_uv_lambda) for block in _reported(recording, report)]
    if not any(len(part[0]) for part in parts):
        text = f"{recording.path} has no unflagged visibility in channels {channels or 'all'!r}, nothing to image"
        raise DataQuality(text)
    uvw, data, weight, times, first, second = (np.concatenate(each) for each in zip(*parts, strict=True))
    uvw *= aberration(recording.ra_rad, recording.dec_rad, float(times.mean()))
    return Visibilities(uvw, freq, data, weight, times, first, second, recording.interval_s, edges)


def slanted(vis: Visibilities) -> Visibilities:
    """Return the visibilities with w less the plane a·u + b·v that fits it best.

    An array that is flat and a recording that is short have w nearly in one plane. With w = w' + a·u + b·v the phase
    u·l + v·m + w·(n − 1) is that of u, v and w' in an image whose axes are l − a·(1 − n) and m − b·(1 − n): the slanted
    orthographic projection (Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.5).
    """
    plane, *_ = np.linalg.lstsq(vis.uvw_m[:, :2], vis.uvw_m[:, 2])
    uvw = vis.uvw_m.copy()
    uvw[:, 2] -= uvw[:, :2] @ plane
    return replace(vis, uvw_m=uvw, slope=(float(plane[0]), float(plane[1])))


def _width(recording: Recording, freq_hz: float) -> int:
    dish_m = telescope_named(recording.telescope).dish_m
    return average_width(recording.width_hz, freq_hz, _rms_baseline(recording.positions_m), dish_m)


def _reported(recording: Recording, report: Callable[[int, int, str], None]) -> Iterator[Block]:
    for block in blocks(recording):
        yield block
        report(block.start + len(block.vis), block.rows, "rows read")


def _averaged(
    block: Block, recording: Recording, bins: NDArray[np.int32], freq: NDArray[np.float64], min_uv_lambda: float
) -> tuple[NDArray[Any], ...]:
    """Return uvw, data, weights, times and antennas of the rows of a block that have any weight."""
    data = np.zeros((len(block.vis), len(freq)), np.complex64)
    weight = np.zeros(data.shape, np.float32)
    average(block.vis, block.flag, block.weight, bins, data, weight)
    if min_uv_lambda > 0:
        weight[np.hypot(block.uvw[:, 0], block.uvw[:, 1])[:, None] * freq / 299792458.0 < min_uv_lambda] = 0
    keep = (block.ant1 != block.ant2) & (weight.sum(axis=1) > 0)
    times = recording.times_s[block.time] / _SECONDS_PER_DAY + _MJD
    return tuple(each[keep] for each in (block.uvw, data, weight, times, block.ant1, block.ant2))


def _check(recording: Recording) -> None:
    corrs = len(recording.corr_types)
    if corrs not in {2, 4}:
        text = f"{recording.path} has {corrs} correlations, Stokes I needs 2 (XX, YY or RR, LL) or all 4"
        raise BadInput(f"{text}; convert them first")


def _rms_baseline(antennas_m: NDArray[np.float64]) -> float:
    """Root mean square length over all pairs: twice the variance of the positions, by pairs."""
    return float(np.sqrt(2 * antennas_m.var(axis=0).sum()))
