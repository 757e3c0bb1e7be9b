"""Dividing visibilities by gains, clipping what stands out, and the noise that remains."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from contimg.machine import in_threads

__all__ = ["Rows", "antenna_noise", "clip", "correct", "noise_sums"]


@dataclass(frozen=True)
class Rows:
    """Where each row and correlation of a block finds its gains."""

    ant1: np.ndarray
    ant2: np.ndarray
    time: np.ndarray
    """(row,) int64."""
    first: np.ndarray
    second: np.ndarray
    """(corr,) int64, receptors of the two antennas."""


@nb.njit(cache=True, nogil=True)
def _divide(low, high, vis, flag, gain, ant1, ant2, time, first, second, power):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 - arrays of one hot loop
    for r in range(low, high):
        i, j, t = ant1[r], ant2[r], time[r]
        for c in range(vis.shape[1]):
            for p in range(vis.shape[2]):
                g = gain[t, c, first[p], i] * np.conj(gain[t, c, second[p], j])
                a = g.real * g.real + g.imag * g.imag
                power[r, c, p] = a
                v = vis[r, c, p]
                if a > 0 and np.isfinite(v.real) and np.isfinite(v.imag):
                    vis[r, c, p] *= np.conj(g) / a
                else:
                    vis[r, c, p] = 0
                    flag[r, c, p] = True


def correct(vis: np.ndarray, flag: np.ndarray, gain: np.ndarray, rows: Rows) -> np.ndarray:
    """Divide in place by ``g_i conj(g_j)``; without a gain, or if not finite, visibilities become 0 and flagged.

    Parameters
    ----------
    vis, flag
        (row, chan, corr) complex64 and bool, changed in place.
    gain
        (time, chan, receptor, antenna) complex64, 0 where there is none.

    Returns
    -------
    ndarray
        ``|g_i g_j|^2`` (row, chan, corr) float32.
    """
    power = np.empty(vis.shape, np.float32)
    data = (vis, flag, gain, rows.ant1, rows.ant2, rows.time, rows.first, rows.second, power)
    in_threads(lambda low, high: _divide(low, high, *data), range(len(vis) + 1))
    return power


@nb.njit(cache=True, nogil=True)
def _median(values, n):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return the lower median of the first n values, whose order it changes (quickselect, Hoare 1961)."""
    k, low, high = (n - 1) // 2, 0, n - 1
    while low < high:
        pivot, i, j = values[k], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < k:
            low = i
        if k < i:
            high = j
    return values[k]


@nb.njit(cache=True, nogil=True)
def _clip(low, high, vis, flag, power, limit, clipped, work):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - arrays of one hot loop
    """Flag in rows ``low`` to ``high``; ``work`` (chan,) float32 is room to work in."""
    nchan, ncorr = vis.shape[1:]
    for r in range(low, high):
        for p in range(ncorr):
            n, level = 0, 0.0
            for c in range(nchan):
                if not flag[r, c, p]:
                    v = vis[r, c, p]
                    work[n] = np.sqrt(v.real * v.real + v.imag * v.imag)  # abs() guards against overflow and is slow
                    level += np.sqrt(power[r, c, p])
                    n += 1
            if n < 8:
                continue
            middle = _median(work, n)
            for k in range(n):
                work[k] = abs(work[k] - middle)
            spread = limit * 1.4826 * _median(work, n)
            for c in range(nchan):
                if not flag[r, c, p]:
                    top = middle + spread * max(1.0, level / n / np.sqrt(power[r, c, p]))
                    v = vis[r, c, p]
                    if v.real * v.real + v.imag * v.imag > top * top:
                        flag[r, c, p] = True
                        clipped[r] += 1


def clip(vis: np.ndarray, flag: np.ndarray, power: np.ndarray, limit: float) -> int:
    """Flag amplitudes above median + ``limit`` x 1.4826 MAD of their row and correlation; return their number.

    All arrays have shape (row, chan, corr): visibilities [Jy], flags, and ``|g_i g_j|^2`` of the gains [counts²/Jy²].

    Where the gain is below the mean of the row (band edges), noise and limit are higher. Rows with fewer than 8
    visibilities are left alone.
    """
    clipped = np.zeros(len(vis), np.int64)
    room = vis.shape[1]
    in_threads(
        lambda low, high: _clip(low, high, vis, flag, power, limit, clipped, np.empty(room, np.float32)),
        range(len(vis) + 1),
    )
    return int(clipped.sum())


@nb.njit(cache=True, nogil=True)
def _differences(low, high, vis, flag, power, total, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - arrays of one hot loop
    nchan, ncorr = vis.shape[1:]
    for r in range(low, high):
        for p in range(ncorr):
            for c in range(1, nchan - 1):
                if flag[r, c - 1, p] or flag[r, c, p] or flag[r, c + 1, p]:
                    continue
                d = vis[r, c - 1, p] - 2 * vis[r, c, p] + vis[r, c + 1, p]
                spread = 1 / power[r, c - 1, p] + 4 / power[r, c, p] + 1 / power[r, c + 1, p]
                total[r, p] += (d.real * d.real + d.imag * d.imag) / (2 * spread)
                count[r, p] += 1


def noise_sums(
    vis: np.ndarray, flag: np.ndarray, power: np.ndarray, weight: np.ndarray, rows: Rows, nant: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return sums and counts (antenna, antenna, corr) of noise variances before calibration, for unit weight.

    The noise comes from second differences of neighbouring channels of calibrated visibilities, which a source
    anywhere in the field leaves small: real and imaginary part have variance s^2 (1/a + 4/b + 1/c) with the
    powers a, b, c of their gains. Autocorrelations and rows without weight are left out.
    """
    shape = (nant, nant, vis.shape[2])
    total, count = np.zeros((len(vis), shape[2])), np.zeros((len(vis), shape[2]))
    in_threads(lambda low, high: _differences(low, high, vis, flag, power, total, count), range(len(vis) + 1))
    use = (weight > 0) & (rows.ant1 != rows.ant2)[:, None]
    pair = rows.ant1 * nant + rows.ant2
    sums = [[np.bincount(pair, x[:, p], nant**2) for p in range(shape[2])] for x in (total * weight * use, count * use)]
    return np.stack(sums[0], -1).reshape(shape), np.stack(sums[1], -1).reshape(shape)


def antenna_noise(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return (antenna, corr) factors s [counts] with noise variance ``s_i s_j`` for a visibility of unit weight.

    ``total / count`` are measured variances of each pair (antenna, antenna, corr); antennas without a measurement
    get the median of the others, or 1. Alternating least squares, as for gains of unit phase.
    """
    factors = np.ones(total.shape[1:])
    for p in range(total.shape[2]):
        n = count[..., p] + count[..., p].T
        variance = (total[..., p] + total[..., p].T) / np.maximum(n, 1)
        seen = n.sum(axis=1) > 0
        if not variance.any():
            continue
        s = np.where(seen, np.sqrt(variance[n > 0].mean()), 0.0)
        for step in range(100):
            new = (n * variance) @ s / np.maximum(n @ s**2, 1e-300)
            s = new if step % 2 == 0 else (new + s) / 2
        factors[:, p] = np.where(seen & (s > 0), s, np.median(s[seen]))
    return factors
