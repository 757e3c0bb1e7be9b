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


@nb.njit(parallel=True, cache=True)
def _accumulate(vis, flag, weight, model, pre, ant1, ant2, slot, bins, index, product, mod, power, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 - arrays of one hot loop
    nrow, nchan, nhand = vis.shape
    chunks = 1 if product.shape[2] < nchan else min(16, nchan)  # threads must not share a bin
    for k in nb.prange(chunks):
        for r in range(nrow):
            i, j, s = ant1[r], ant2[r], slot[r]
            b = index[i, j]
            if b < 0 or s < 0:
                continue
            for c in range(k * nchan // chunks, (k + 1) * nchan // chunks):
                q = bins[c]
                if q < 0:
                    continue
                for p in range(nhand):
                    w = weight[r, p]
                    v = vis[r, c, p]
                    if flag[r, c, p] or w <= 0 or not (np.isfinite(v.real) and np.isfinite(v.imag)):
                        continue
                    m = model[r, c] * pre[c, p, i] * np.conj(pre[c, p, j])
                    mm = m.real * m.real + m.imag * m.imag
                    if mm <= 0:
                        continue
                    x = v * np.conj(m)
                    product[s, b, q, p] += w * (x if i < j else np.conj(x))
                    mod[s, b, q, p] += w * mm
                    power[s, b, q, p] += w * (v.real * v.real + v.imag * v.imag)
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
    _accumulate(
        block.vis,
        block.flag,
        block.weight,
        model,
        pre,
        block.ant1,
        block.ant2,
        slot,
        bins,
        sums.baseline,
        sums.product,
        sums.model,
        sums.power,
        sums.count,
    )


@nb.njit(cache=True)
def _iterate(num, den, g, steps, tolerance):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Update gains in place until the relative change is small; every second step is averaged."""
    n = len(g)
    new = np.zeros(n, np.complex128)
    for step in range(steps):
        change, size = 0.0, 0.0
        for i in range(n):
            t, w = 0j, 0.0
            for j in range(n):
                if den[i, j] > 0:
                    t += num[i, j] * g[j]
                    w += den[i, j] * (g[j].real ** 2 + g[j].imag ** 2)
            new[i] = t / w if w > 0 else 0j
        for i in range(n):
            z = new[i] if step % 2 == 0 else 0.5 * (new[i] + g[i])
            change += abs(z - g[i]) ** 2
            size += abs(z) ** 2
            g[i] = z
        if step % 2 == 1 and change <= tolerance * tolerance * size:
            return


@nb.njit(cache=True)
def _matrices(product, mod, index, use, num, den):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Fill the Hermitian matrices of one solution; return the starting amplitude."""
    n = len(use)
    total, pairs = 0.0, 0
    for i in range(n):
        num[i, i], den[i, i] = 0j, 0.0
        for j in range(i + 1, n):
            b = index[i, j]
            d = mod[b] if use[i] and use[j] else 0.0
            x = product[b] if d > 0 else 0j
            num[i, j], num[j, i], den[i, j], den[j, i] = x, np.conj(x), d, d
            if d > 0:
                total += abs(x) / d
                pairs += 1
    return np.sqrt(total / pairs) if pairs else 0.0


@nb.njit(cache=True)
def _prune(den, use, least):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Drop antennas with fewer than ``least`` baselines, again and again, from ``use``."""
    n, again = len(use), True
    while again:
        again = False
        for i in range(n):
            if use[i] and np.sum(den[i] > 0) < least:
                use[i], again = False, True
                den[i, :] = 0.0
                den[:, i] = 0.0


@nb.njit(cache=True)
def _errors(num, den, power, count, index, g, error, noise):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Error of each gain from the residuals, and the noise variance of each antenna in units of its gain."""
    n = len(g)
    a2 = g.real**2 + g.imag**2
    chi, hits = np.zeros(n), np.zeros(n)
    total, cells = 0.0, 0.0
    for i in range(n):
        for j in range(n):
            if den[i, j] > 0:
                b = index[i, j]
                x = g[i] * np.conj(g[j])
                left = power[b] - 2 * (np.conj(x) * num[i, j]).real + a2[i] * a2[j] * den[i, j]
                chi[i] += max(left, 0.0)
                hits[i] += count[b] * a2[j]
                total += 0.5 * max(left, 0.0)
                cells += 0.5 * count[b]
    variance = total / max(2 * cells - 2 * np.sum(a2 > 0), 1.0)
    for i in range(n):
        w = np.sum(den[i] * a2)
        error[i] = np.sqrt(variance / w) if w > 0 else np.inf
        noise[i] = chi[i] / (a2[i] * hits[i]) if a2[i] > 0 and hits[i] > 0 else np.nan


@nb.njit(parallel=True, cache=True)
def _solve(product, mod, power, count, index, use, least, gain, error, noise):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 - arrays of one hot loop
    slots, _, bins, hands = product.shape
    n = len(use)
    for k in nb.prange(slots * bins * hands):
        s, q, p = k // (bins * hands), (k // hands) % bins, k % hands
        num, den = np.zeros((n, n), np.complex128), np.zeros((n, n))
        here = use.copy()
        _matrices(product[s, :, q, p], mod[s, :, q, p], index, here, num, den)
        _prune(den, here, least)
        start = _matrices(product[s, :, q, p], mod[s, :, q, p], index, here, num, den)
        g = np.where(here, start, 0.0).astype(np.complex128)
        _iterate(num, den, g, 300, 1e-6)
        _errors(num, den, power[s, :, q, p], count[s, :, q, p], index, g, error[s, q, p], noise[s, q, p])
        gain[s, q, p] = g


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
    slots, _, bins, hands = sums.product.shape
    shape = (slots, bins, hands, len(use))
    gain, error, noise = np.zeros(shape, np.complex64), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    _solve(
        sums.product,
        sums.model,
        sums.power,
        sums.count,
        sums.baseline,
        np.asarray(use, np.bool_),
        min_baselines,
        gain,
        error,
        noise,
    )
    return gain, error, noise
