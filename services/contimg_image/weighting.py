"""Weights of visibilities in the image: natural, uniform, Briggs; and the noise that follows from them."""

from __future__ import annotations

from typing import Literal

import numba as nb
import numpy as np
from numpy.typing import NDArray

from contimg_image.visibilities import Visibilities

__all__ = ["imaging_weights", "thermal_rms"]


@nb.njit(cache=True, nogil=True)
def _grid(uv, scale, weight, density):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - a numba kernel
    """Add the weights, and those of the conjugate points, to the cells of the uv plane."""
    n = density.shape[0]
    for r in range(uv.shape[0]):
        for c in range(scale.size):
            w = weight[r, c]
            if w > 0:
                i = int(np.floor(uv[r, 0] * scale[c] + 0.5)) % n
                j = int(np.floor(uv[r, 1] * scale[c] + 0.5)) % n
                density[i, j] += w
                density[-i % n, -j % n] += w


@nb.njit(cache=True, nogil=True)
def _divide(uv, scale, weight, density, offset, factor):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - a numba kernel
    """Divide each weight by offset + factor * density of its cell."""
    n = density.shape[0]
    for r in range(uv.shape[0]):
        for c in range(scale.size):
            if weight[r, c] > 0:
                i = int(np.floor(uv[r, 0] * scale[c] + 0.5)) % n
                j = int(np.floor(uv[r, 1] * scale[c] + 0.5)) % n
                weight[r, c] /= offset + factor * density[i, j]


def imaging_weights(
    vis: Visibilities,
    size: int,
    cell_rad: float,
    weighting: Literal["briggs", "uniform", "natural"] = "briggs",
    robust: float = 0.0,
) -> NDArray[np.float32]:
    """Return the weights to grid with; all channels share one uv plane.

    Briggs (1995), as in CASA: w / (1 + f² W), f² = (5·10^-robust)² / (Σ W² / Σ w), W the sum of the weights in a cell
    of 1 / (size · cell), conjugate points included.

    Parameters
    ----------
    vis
        Visibilities with their natural weights.
    size, cell_rad
        Pixels along a side of the image and their side [rad].

    Returns
    -------
    ndarray of float32, shape (R, C)
    """
    weight = vis.weight.copy()
    if weighting == "natural":
        return weight
    scale = vis.freq_hz / 299792458.0 * size * cell_rad
    density = np.zeros((size, size), np.float32)
    _grid(vis.uvw_m, scale, weight, density)
    offset, factor = 0.0, 1.0
    if weighting == "briggs":
        mean = np.square(density, dtype=np.float64).sum() / (2 * weight.sum(dtype=np.float64))
        offset, factor = 1.0, (5 * 10.0**-robust) ** 2 / mean
    _divide(vis.uvw_m, scale, weight, density, np.float32(offset), np.float32(factor))
    return weight


def thermal_rms(natural: NDArray[np.float32], imaging: NDArray[np.float32]) -> float:
    """Return the noise of the dirty image that the weights, shape (R, C), promise [Jy/beam].

    The image is Σ w Re V / Σ w and the variance of Re V is 1/n, so σ = √(Σ w²/n) / Σ w.
    """
    used = natural > 0
    squares = np.square(imaging[used], dtype=np.float64) / natural[used]
    return float(np.sqrt(squares.sum()) / imaging.sum(dtype=np.float64))
