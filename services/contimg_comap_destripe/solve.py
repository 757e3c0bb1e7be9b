"""The destriper: one offset per stretch of samples, solved together with the sky by conjugate gradients.

d = P m + F a + n. With Z = I − P (Pᵀ N⁻¹ P)⁻¹ Pᵀ N⁻¹ the offsets obey (Fᵀ N⁻¹ Z F + λ w̄ I) a = Fᵀ N⁻¹ Z d, w̄ the median
of the summed weights of an offset (Sutton et al. 2010; Kurki-Suonio et al. 2009).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contimg_comap_destripe.kernels import add_samples, offset_sums, spread, striped

__all__ = ["Samples", "Solution", "destripe"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Samples:
    """All that goes into a map: 8 bytes per sample."""

    data: NDArray[np.float32]
    """(time,) [K]."""
    pixel: NDArray[np.int32]
    """Number of the hit pixel, (time,); below 0: left out."""
    weight: Floats
    """1 / rms², one per offset, (offset,) [K⁻²]."""
    length: int
    """Samples of an offset."""
    hit_pixels: int


@dataclass(frozen=True)
class Solution:
    """Maps over the hit pixels."""

    sky: Floats
    """Destriped, (pixel,) [K]."""
    naive: Floats
    """Weighted mean, (pixel,) [K]."""
    weight: Floats
    """(pixel,) [K⁻²]."""
    hits: NDArray[np.int64]
    """Samples, (pixel,)."""
    iterations: int
    residual: float
    """Relative to the right-hand side, at the end."""


def destripe(samples: Samples, lambda_ridge: float, tolerance: float, most: int) -> Solution:
    """Solve offsets and sky.

    Parameters
    ----------
    samples
        Data, pixels and weights.
    lambda_ridge
        See the module; a pure number.
    tolerance
        Relative residual at which it ends.
    most
        Iterations at most.
    """
    n, weight = samples.hit_pixels, samples.weight
    sums, weights, hits = np.zeros(n), np.zeros(n), np.zeros(n, np.int64)
    add_samples(samples.data, samples.pixel, weight, samples.length, sums, weights, hits)
    inverse = np.divide(1.0, weights, out=np.zeros(n), where=weights > 0)
    naive = sums * inverse
    right, counts = offset_sums(samples.data, samples.pixel, naive, weight, samples.length)
    own = weight * counts
    ridge = lambda_ridge * float(np.median(own[own > 0])) if np.any(own > 0) else 0.0

    def times(offsets: Floats) -> Floats:
        sky = np.zeros(n)
        spread(offsets, samples.pixel, weight, samples.length, sky)
        sky *= inverse
        return np.asarray(striped(offsets, sky, samples.pixel, weight, samples.length, counts) + ridge * offsets)

    offsets, iterations, residual = _conjugate_gradients(times, right, own + ridge, tolerance, most)
    stripes = np.zeros(n)
    spread(offsets, samples.pixel, weight, samples.length, stripes)
    return Solution(naive - stripes * inverse, naive, weights, hits, iterations, residual)


def _conjugate_gradients(
    times: Callable[[Floats], Floats], right: Floats, diagonal: Floats, tolerance: float, most: int
) -> tuple[Floats, int, float]:
    """Return solution, iterations and relative residual; Jacobi preconditioner, start at zero."""
    solution = np.zeros_like(right)
    scale = float(np.linalg.norm(right))
    if scale == 0.0:
        return solution, 0, 0.0
    precondition = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    residual = right.copy()
    direction = precondition * residual
    old = float(residual @ direction)
    size = 1.0
    for iteration in range(1, most + 1):
        product = times(direction)
        step = old / float(direction @ product)
        solution += step * direction
        residual -= step * product
        size = float(np.linalg.norm(residual)) / scale
        if size < tolerance:
            return solution, iteration, size
        next_ = precondition * residual
        new = float(residual @ next_)
        direction = next_ + (new / old) * direction
        old = new
    return solution, most, size
