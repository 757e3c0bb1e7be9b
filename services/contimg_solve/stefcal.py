"""Antenna gains from visibilities and a model: StEFCal (Salvini & Wijnholds 2014, A&A 571, A97) in numba.

The measurement equation of one channel and one parallel hand is ``V_ij = g_i conj(g_j) M_ij``, as in CASA,
which divides visibilities by ``g_i conj(g_j)``. Sums over time are taken per baseline once; the iteration
then costs nothing. All arrays of baselines hold i < j, in the order of ``numpy.triu_indices(n, 1)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np

from contimg.machine import in_threads

__all__ = ["Sums", "accumulate", "baseline_index", "new_sums", "solve_gains"]


@dataclass(frozen=True)
class Sums:
    """Weighted sums per (slot, baseline, bin, hand) that determine the gains."""

    product: Any
    """sum w V conj(M), complex64."""
    model: Any
    """sum w |M|^2, float32."""
    power: Any
    """sum w |V|^2, float32."""
    count: Any
    """Number of visibilities, float32."""
    baseline: Any
    """(nant, nant) int64, index of a pair, both ways."""


def baseline_index(nant: int) -> np.ndarray:
    """Return the (nant, nant) index of each pair of antennas; the diagonal is -1."""
    index = np.full((nant, nant), -1, np.int64)
    i, j = np.triu_indices(nant, 1)
    index[i, j] = index[j, i] = np.arange(len(i))
    return index


def new_sums(slots: int, bins: int, hands: int, nant: int) -> Sums:
    """Return empty sums."""
    shape = (slots, nant * (nant - 1) // 2, bins, hands)
    real = [np.zeros(shape, np.float32) for _ in range(3)]
    return Sums(np.zeros(shape, np.complex64), real[0], real[1], real[2], baseline_index(nant))


@nb.njit(cache=True, nogil=True)
def _add(low, high, vis, flag, weight, model, pre, ant1, ant2, slot, bins, index, product, mod, power, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 - arrays of one hot loop
    """Add channels ``low`` to ``high`` of all rows."""
    for r in range(vis.shape[0]):
        i, j, s = ant1[r], ant2[r], slot[r]
        if i < 0 or j < 0 or s < 0 or index[i, j] < 0:  # -1 is an antenna without a name, not the last one
            continue
        b = index[i, j]
        for c in range(low, high):
            q = bins[c]
            if q < 0:
                continue
            for p in range(vis.shape[2]):
                w, v = weight[r, p], vis[r, c, p]
                size = v.real * v.real + v.imag * v.imag
                m = model[r, c] * pre[c, p, i] * np.conj(pre[c, p, j])
                mm = m.real * m.real + m.imag * m.imag
                if flag[r, c, p] or w <= 0 or mm <= 0 or not np.isfinite(size):
                    continue
                x = v * np.conj(m)
                product[s, b, q, p] += w * (x if i < j else np.conj(x))
                mod[s, b, q, p] += w * mm
                power[s, b, q, p] += w * size
                count[s, b, q, p] += 1


def accumulate(sums: Sums, block: Any, model: np.ndarray, pre: np.ndarray, slot: np.ndarray, bins: np.ndarray) -> None:
    """Add a block of rows to the sums.

    Parameters
    ----------
    sums
        Changed in place.
    block
        ``contimg_solve.data.Block``.
    model
        (row, chan) complex64, Stokes I visibilities [Jy].
    pre
        (chan, hand, antenna) complex64, gains known already; they multiply the model. 0 leaves data out.
    slot
        (row,) int64, solution interval of each row; -1 leaves it out.
    bins
        (chan,) int64, frequency bin of each channel; -1 leaves it out.
    """
    nchan, nbin = len(bins), sums.product.shape[2]
    data = (block.vis, block.flag, block.weight, model, pre, block.ant1, block.ant2, slot, bins, sums.baseline)
    room = (sums.product, sums.model, sums.power, sums.count)
    edges = range(nchan + 1) if nbin == nchan else (0, nchan)  # threads must not share a bin
    in_threads(lambda low, high: _add(low, high, *data, *room), edges)


# The loops below are spelled out: array expressions would take seconds to compile and make copies.


@nb.njit(cache=True, nogil=True)
def _iterate(num, den, g, new, steps, tolerance):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Update gains in place until the relative change is small; every second step is averaged."""
    n = len(g)
    for step in range(steps):
        change, size = 0.0, 0.0
        for i in range(n):
            t, w = 0j, 0.0
            for j in range(n):
                if den[i, j] > 0:
                    t += num[i, j] * g[j]
                    w += den[i, j] * (g[j].real * g[j].real + g[j].imag * g[j].imag)
            new[i] = t / w if w > 0 else 0j
        for i in range(n):
            z = new[i] if step % 2 == 0 else 0.5 * (new[i] + g[i])
            d = z - g[i]
            change += d.real * d.real + d.imag * d.imag
            size += z.real * z.real + z.imag * z.imag
            g[i] = z
        if step % 2 == 1 and change <= tolerance * tolerance * size:
            return


@nb.njit(cache=True, nogil=True)
def _matrices(product, mod, index, use, num, den):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Fill the Hermitian matrices of one solution; return the starting amplitude."""
    n = len(use)
    total, pairs = 0.0, 0
    for i in range(n):
        num[i, i], den[i, i] = 0j, 0.0
        for j in range(i + 1, n):
            b = index[i, j]
            d, x = 0.0, 0j
            if use[i] and use[j] and mod[b] > 0:
                d, x = float(mod[b]), complex(product[b])
                total += np.sqrt(x.real * x.real + x.imag * x.imag) / d
                pairs += 1
            num[i, j], num[j, i], den[i, j], den[j, i] = x, np.conj(x), d, d
    return np.sqrt(total / pairs) if pairs else 0.0


@nb.njit(cache=True, nogil=True)
def _prune(den, use, least):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Take antennas with fewer than ``least`` baselines out of ``use``, until none is left."""
    n, again = len(use), True
    while again:
        again = False
        for i in range(n):
            count = 0
            for j in range(n):
                if use[j] and den[i, j] > 0:
                    count += 1
            if use[i] and count < least:
                use[i], again = False, True


@nb.njit(cache=True, nogil=True)
def _errors(num, den, power, count, index, g, error, noise):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - arrays of one hot loop
    """Error of each gain from the residuals, and the noise variance of each antenna in units of its gain."""
    n = len(g)
    total, cells, free = 0.0, 0.0, 0
    for i in range(n):
        a, chi, hits = g[i].real * g[i].real + g[i].imag * g[i].imag, 0.0, 0.0
        free += a > 0
        for j in range(n):
            if den[i, j] > 0:
                c, x = g[j].real * g[j].real + g[j].imag * g[j].imag, g[i] * np.conj(g[j])
                left = power[index[i, j]] - 2 * (np.conj(x) * num[i, j]).real + a * c * den[i, j]
                chi += max(left, 0.0)
                hits += count[index[i, j]] * c
                cells += 0.5 * count[index[i, j]]
        total += 0.5 * chi
        noise[i] = chi / (a * hits) if a > 0 and hits > 0 else np.nan
    variance = total / max(2 * cells - 2 * free, 1.0)
    for i in range(n):
        w = 0.0
        for j in range(n):
            w += den[i, j] * (g[j].real * g[j].real + g[j].imag * g[j].imag)
        error[i] = np.sqrt(variance / w) if w > 0 else np.inf


@nb.njit(cache=True, nogil=True)
def _solve(first, last, product, mod, power, count, index, use, least, gain, error, noise, num, den, here, g, new):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 - arrays of one hot loop
    """Solve ``first`` to ``last``; (n, n) ``num`` and ``den``, (n,) ``here``, ``g`` and ``new`` are room to work in."""
    n = len(use)
    for k in range(first, last):
        for i in range(n):
            here[i] = use[i]
        _matrices(product[k], mod[k], index, here, num, den)
        _prune(den, here, least)
        start = _matrices(product[k], mod[k], index, here, num, den)
        for i in range(n):
            g[i] = start if here[i] else 0.0
        _iterate(num, den, g, new, 300, 1e-6)
        _errors(num, den, power[k], count[k], index, g, error[k], noise[k])
        for i in range(n):
            gain[k, i] = g[i]


def solve_gains(sums: Sums, use: np.ndarray, min_baselines: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solve every (slot, bin, hand).

    Parameters
    ----------
    sums
        From :func:`accumulate`.
    use
        (antenna,) bool; others are left out.
    min_baselines
        Antennas with fewer are left out of a solution.

    Returns
    -------
    gain, error, noise
        (slot, bin, hand, antenna): complex64 gains, 0 where there is none; the standard error of an amplitude or of
        a phase times amplitude, inf where unknown; the noise variance relative to the gain, NaN where unknown.
        Phases have no reference yet.
    """
    slots, pairs, bins, hands = sums.product.shape
    shape = (slots, bins, hands, len(use))
    gain, error, noise = np.zeros(shape, np.complex64), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    flat = (slots * bins * hands, len(use))
    each = (np.ascontiguousarray(np.moveaxis(x, 1, 3)).reshape(-1, pairs) for x in vars(sums).values() if x.ndim == 4)
    data = (*each, sums.baseline, np.asarray(use, np.bool_), min_baselines)
    found = (gain.reshape(flat), error.reshape(flat), noise.reshape(flat))

    def work(first: int, last: int) -> None:
        n = len(use)
        square, line = (np.zeros((n, n), np.complex128), np.zeros((n, n))), (np.zeros(n, np.bool_),)
        _solve(first, last, *data, *found, *square, *line, np.zeros(n, np.complex128), np.zeros(n, np.complex128))

    in_threads(work, range(flat[0] + 1))
    return gain, error, noise
