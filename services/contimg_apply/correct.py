"""Dividing visibilities by gains, clipping what stands out, and the noise that remains."""

from __future__ import annotations

import numba as nb
import numpy as np

__all__ = ["antenna_noise", "clip_and_measure", "correct"]


@nb.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def correct(vis, flag, gain, ant1, ant2, time, first, second, power):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, PLR0913
    """Divide in place by ``g_i conj(g_j)``; flag where a gain is 0.

    Parameters
    ----------
    vis, flag
        (row, chan, corr) complex64 and bool, changed in place. Flagged visibilities become 0 if they have no gain.
    gain
        (time, chan, receptor, antenna) complex64.
    ant1, ant2, time
        (row,) int64.
    first, second
        (corr,) int64, receptors of a correlation.
    power
        (row, corr) float32 out: mean of ``|g_i g_j|^2`` over channels that are not flagged, else 0.
    """
    nrow, nchan, ncorr = vis.shape
    for r in nb.prange(nrow):
        i, j, t = ant1[r], ant2[r], time[r]
        for p in range(ncorr):
            total, count = 0.0, 0
            for c in range(nchan):
                g = gain[t, c, first[p], i] * np.conj(gain[t, c, second[p], j])
                a = g.real * g.real + g.imag * g.imag
                if a > 0:
                    vis[r, c, p] = vis[r, c, p] / g
                    if not flag[r, c, p]:
                        total += a
                        count += 1
                else:
                    vis[r, c, p] = 0
                    flag[r, c, p] = True
            power[r, p] = total / count if count else 0.0


@nb.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def _clip(vis, flag, gain, ant1, ant2, time, first, second, limit, clipped):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913
    """Flag amplitudes above median + limit x 1.4826 MAD of their row and correlation; count them per row.

    Where the gain is below the median of the row (band edges), the noise and with it the limit is higher.
    """
    nrow, nchan, ncorr = vis.shape
    for r in nb.prange(nrow):
        i, j, t = ant1[r], ant2[r], time[r]
        amplitude, level, low = np.empty(nchan), np.empty(nchan), np.empty(nchan)
        for p in range(ncorr):
            n = 0
            for c in range(nchan):
                level[c] = abs(gain[t, c, first[p], i] * gain[t, c, second[p], j])
                if not flag[r, c, p]:
                    amplitude[n], low[n] = abs(vis[r, c, p]), level[c]
                    n += 1
            if n < 8:
                continue
            middle, usual = np.median(amplitude[:n]), np.median(low[:n])
            spread = limit * 1.4826 * np.median(np.abs(amplitude[:n] - middle))
            for c in range(nchan):
                if not flag[r, c, p] and abs(vis[r, c, p]) > middle + spread * max(1.0, usual / level[c]):
                    flag[r, c, p] = True
                    clipped[r] += 1


@nb.njit(cache=True)  # type: ignore[untyped-decorator]
def _second_differences(vis, flag, gain, weight, ant1, ant2, time, first, second, total, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913
    nrow, nchan, ncorr = vis.shape
    for r in range(nrow):
        i, j, t = ant1[r], ant2[r], time[r]
        for p in range(ncorr):
            if weight[r, p] <= 0 or i == j:
                continue
            for c in range(1, nchan - 1):
                if flag[r, c - 1, p] or flag[r, c, p] or flag[r, c + 1, p]:
                    continue
                d = vis[r, c - 1, p] - 2 * vis[r, c, p] + vis[r, c + 1, p]
                spread = 0.0
                for k in range(-1, 2):
                    g = abs(gain[t, c + k, first[p], i] * gain[t, c + k, second[p], j])
                    spread += (4.0 if k == 0 else 1.0) / (g * g)
                total[i, j, p] += weight[r, p] * (d.real * d.real + d.imag * d.imag) / (2 * spread)
                count[i, j, p] += 1


def clip_and_measure(vis, flag, gain, weight, index, receptors, clip_mad, total, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, PLR0913
    """Clip calibrated visibilities and add their noise to sums per pair of antennas.

    The noise comes from second differences of neighbouring channels, which a source anywhere in the field
    leaves small; it is scaled by the gains to the noise variance before calibration for unit weight.

    Parameters
    ----------
    vis, flag, gain, weight
        As in :func:`correct`; weight (row, corr) before calibration.
    index
        (ant1, ant2, time).
    receptors
        (first, second) of each correlation.
    clip_mad
        Limit in robust standard deviations, 0: no clip.
    total, count
        (antenna, antenna, corr) float64, changed in place.

    Returns
    -------
    int
        Number of visibilities clipped.
    """
    clipped = np.zeros(len(vis), np.int64)
    if clip_mad > 0:
        _clip(vis, flag, gain, *index, *receptors, clip_mad, clipped)
    _second_differences(vis, flag, gain, weight, *index, *receptors, total, count)
    return int(clipped.sum())


def antenna_noise(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return (antenna, corr) factors s with noise variance ``s_i s_j`` for a visibility of unit weight.

    ``total / count`` are measured variances of each pair (antenna, antenna, corr); antennas without a measurement
    get the median of the others, or 1. Alternating least squares, as for gains of unit phase.
    """
    factors = np.ones(total.shape[1:])
    for p in range(total.shape[2]):
        n = count[..., p] + count[..., p].T
        variance = (total[..., p] + total[..., p].T) / np.maximum(n, 1)
        seen = n.sum(axis=1) > 0
        if not seen.any():
            continue
        s = np.where(seen, np.sqrt(variance[n > 0].mean()), 0.0)
        for step in range(100):
            new = (n * variance) @ s / np.maximum(n @ s**2, 1e-300)
            s = new if step % 2 == 0 else (new + s) / 2
        factors[:, p] = np.where(seen & (s > 0), s, np.median(s[seen]))
    return factors
