"""Flags that are set before the measurement set is committed: what no later stage may use."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from contimg.machine import in_threads
from contimg.radio.visibilities import Visibilities
from contimg_convert import kernels

__all__ = ["Power", "clip_amplitudes", "flag_aoflagger", "flag_array", "flag_autos_and_edges", "flag_dead", "measure"]

CLIP_BLOCK = 48
"""Channels that share one amplitude distribution in the clip: one subband of DSA-110."""


@dataclass(frozen=True)
class Power:
    """Sums over the unflagged cross-correlations."""

    spectrum: NDArray[np.float64]
    """Mean power, shape (times, channels, correlations); NaN where nothing is left."""
    amplitude: NDArray[np.float64]
    """Mean amplitude by antenna and correlation, shape (antennas, correlations); NaN without data."""


def flag_autos_and_edges(data: Visibilities, edge_fraction: float) -> None:
    """Flag autocorrelations and the given fraction of the channels at each end of the band."""
    data.flag[~data.cross] = True
    edge = int(edge_fraction * len(data.freq_hz))
    if edge:
        data.flag[:, :edge] = True
        data.flag[:, -edge:] = True


def _time_edges(data: Visibilities) -> NDArray[np.int64]:
    """Return the first row of every integration, and the number of rows."""
    return np.append(np.nonzero(np.diff(data.time_jd, prepend=-1.0))[0], len(data.time_jd)).astype(np.int64)


def measure(data: Visibilities) -> Power:
    """Measure mean power and amplitudes in one pass over the data."""
    rows, channels, corrs = data.vis.shape
    edges = _time_edges(data)
    total = np.zeros((len(edges) - 1, channels, corrs))
    count = np.zeros(total.shape, np.int64)
    row_total, row_count = np.zeros((rows, corrs)), np.zeros((rows, corrs), np.int64)
    index, cross = data.time_index, data.cross

    def work(first: int, last: int) -> None:
        kernels.power(data.vis, data.flag, index, cross, total, count, row_total, row_count, first, last)

    in_threads(work, edges.tolist())
    with np.errstate(invalid="ignore"):
        return Power(total / count, _per_antenna(data, row_total) / _per_antenna(data, row_count))


def _per_antenna(data: Visibilities, values: NDArray[Any]) -> NDArray[np.float64]:
    """Sum row values over the baselines of each antenna, shape (antennas, correlations)."""
    size = len(data.antennas)
    both = (data.antenna1, data.antenna2)
    return np.stack([sum(np.bincount(a, column, size) for a in both) for column in values.T], 1)


def flag_dead(data: Visibilities, measured: Power, below: float) -> NDArray[np.bool_]:
    """Flag antennas whose mean amplitude is below a fraction of the median antenna, per correlation.

    Returns
    -------
    ndarray
        Whether each antenna is alive in some correlation, shape (antennas,).
    """
    typical = _median(np.where(measured.amplitude > 0, measured.amplitude, np.nan), 0)
    alive = measured.amplitude > below * typical
    for corr in range(alive.shape[1]):
        if not alive[:, corr].all():
            dead = ~(alive[data.antenna1, corr] & alive[data.antenna2, corr])
            data.flag[dead, :, corr] = True
    return np.asarray(alive.any(1))


def flag_array(data: Visibilities, measured: Power, sigma: float, block: int) -> float:
    """Flag interference that the whole array sees: power of all baselines per integration and channel.

    A cell is compared with the same channel at other times, after the common change with time (a source that drifts
    through the beam) is divided out; a channel with its neighbours, after the shape that all subbands share.

    Parameters
    ----------
    data, measured
        Visibilities and their power (`measure`).
    sigma
        Threshold in robust standard deviations.
    block
        Channels per subband; 0 for a band without subbands.

    Returns
    -------
    float
        Fraction of the (time, channel, correlation) cells that were flagged.
    """
    spectrum = measured.spectrum
    with np.errstate(invalid="ignore", divide="ignore"):
        base = _median(spectrum, 0)
        ratio = spectrum / base
        ratio /= _median(ratio, 1)[:, None]
        scatter = 1.4826 * _median(np.abs(ratio - 1), (0, 1))
        bad = np.abs(ratio - 1) > np.maximum(sigma * scatter, 0.05)
        flat = base / _subband_shape(base, block)
        smooth = median_filter(np.where(np.isfinite(flat), flat, _median(flat, 0)), size=(9, 1), mode="nearest")
        bad |= (flat > 1.3 * smooth) | (bad.mean(0) > 0.3)
    for time, (first, last) in enumerate(pairwise(_time_edges(data))):
        if bad[time].any():
            data.flag[first:last] |= bad[time]
    return float(bad.mean())


def _median(values: NDArray[np.float64], axis: int | tuple[int, ...]) -> NDArray[np.float64]:
    """Return the median without the NaN; NaN where there is nothing else, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=axis))


def _subband_shape(base: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """Return the passband that all subbands share, over the whole band; ones without subbands."""
    channels, corrs = base.shape
    if not block or channels % block or channels // block < 4:
        return np.ones(base.shape)
    folded = base.reshape(channels // block, block, corrs)
    shape = _median(folded / _median(folded, 1)[:, None], 0)
    return np.tile(np.where(np.isfinite(shape) & (shape > 0), shape, 1.0), (channels // block, 1))


def _baselines(data: Visibilities) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cross-correlation rows ordered by baseline, and where each baseline starts among them."""
    rows = np.nonzero(data.cross)[0]
    number = data.antenna1[rows].astype(np.int64) * len(data.antennas) + data.antenna2[rows]
    order = np.argsort(number, kind="stable")
    starts = np.nonzero(np.diff(number[order], prepend=-1))[0]
    return rows[order].astype(np.int64), np.append(starts, len(rows)).astype(np.int64)


def clip_amplitudes(data: Visibilities, sigma: float) -> None:
    """Flag amplitudes far above those of the same baseline, correlation and 48 neighbouring channels."""
    rows, starts = _baselines(data)

    def work(first: int, last: int) -> None:
        kernels.clip(data.vis, data.flag, rows, starts, CLIP_BLOCK, sigma, first, last)

    in_threads(work, range(len(starts)))


def flag_aoflagger(data: Visibilities) -> None:
    """Flag every baseline with AOFlagger's generic strategy (time by channel, both parallel hands)."""
    import aoflagger  # noqa: PLC0415 - a choice; the default does without

    flagger = aoflagger.AOFlagger()
    strategy = flagger.load_strategy_file(flagger.find_strategy_file(aoflagger.TelescopeId.Generic))
    rows, starts = _baselines(data)
    channels, corrs = data.vis.shape[1:]
    for first, last in pairwise(starts):
        mine = rows[first:last]
        image = flagger.make_image_set(len(mine), channels, 2 * corrs)
        for corr in range(corrs):
            plane = data.vis[mine, :, corr].T
            image.set_image_buffer(2 * corr, np.ascontiguousarray(plane.real))
            image.set_image_buffer(2 * corr + 1, np.ascontiguousarray(plane.imag))
        data.flag[mine] |= strategy.run(image).get_buffer().T[:, :, None]
