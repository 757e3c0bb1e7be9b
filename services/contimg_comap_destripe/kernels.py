"""Compiled sums over samples. One thread, fixed order."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["add_samples", "offset_sums", "spread", "striped"]

Floats = NDArray[np.float64]


@numba.njit(cache=True, nogil=True)
def add_samples(
    data: NDArray[np.float32],
    pixel: NDArray[np.int32],
    weight: Floats,
    length: int,
    sums: Floats,
    weights: Floats,
    hits: NDArray[np.int64],
) -> None:
    """Add weighted samples, weights and hits to pixels.

    Parameters
    ----------
    data
        (time,) [K].
    pixel
        Hit pixel of each sample, (time,), index; below 0: left out.
    weight
        One per offset, (offset,) [K⁻²].
    length
        Samples of an offset.
    sums, weights, hits
        (pixel,), in [K⁻¹], [K⁻²] and pure numbers; added to.
    """
    for k in range(weight.size):
        w = weight[k]
        for i in range(k * length, (k + 1) * length):
            p = pixel[i]
            if p >= 0:
                sums[p] += w * data[i]
                weights[p] += w
                hits[p] += 1


@numba.njit(cache=True, nogil=True)
def spread(offsets: Floats, pixel: NDArray[np.int32], weight: Floats, length: int, sums: Floats) -> None:
    """Add the weighted offsets, shape (offset,) [K], to the sums of pixels, (pixel,) [K⁻¹]."""
    for k in range(weight.size):
        value = weight[k] * offsets[k]
        for i in range(k * length, (k + 1) * length):
            p = pixel[i]
            if p >= 0:
                sums[p] += value


@numba.njit(cache=True, nogil=True)
def striped(
    offsets: Floats, sky: Floats, pixel: NDArray[np.int32], weight: Floats, length: int, counts: NDArray[np.int64]
) -> Floats:
    """Return per offset the weighted sum of (offset − sky), shape (offset,) [K⁻¹].

    ``sky`` is (pixel,) [K], ``counts`` the used samples of each offset, (offset,), pure numbers.
    """
    found = np.empty(weight.size)
    for k in range(weight.size):
        total = 0.0
        for i in range(k * length, (k + 1) * length):
            p = pixel[i]
            if p >= 0:
                total += sky[p]
        found[k] = weight[k] * (counts[k] * offsets[k] - total)
    return found


@numba.njit(cache=True, nogil=True)
def offset_sums(
    data: NDArray[np.float32], pixel: NDArray[np.int32], sky: Floats, weight: Floats, length: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Return per offset the weighted sum of (data − sky) [K⁻¹] and its used samples, (offset,) each.

    ``data`` is (time,) [K], ``sky`` (pixel,) [K].
    """
    found, counts = np.empty(weight.size), np.zeros(weight.size, np.int64)
    for k in range(weight.size):
        total = 0.0
        for i in range(k * length, (k + 1) * length):
            p = pixel[i]
            if p >= 0:
                total += data[i] - sky[p]
                counts[k] += 1
        found[k] = weight[k] * total
    return found, counts
