"""The major cycle: visibilities to residual image, components, and back until nothing significant is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contimg_image.clean import Minor, dilate
from contimg_image.gridder import Gridder

__all__ = ["Cleaned", "Limits", "deconvolve", "inner_mask", "mad_rms"]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

_EDGE = 0.02
"""Part of the image along each side that is never cleaned: the gridder's taper and half a PSF end there."""
_GROWTH = 1.5
"""A residual peak that grows by more than this over one major cycle diverges."""
_CLOSE = 1.05
"""A peak within 5 % of its limit is not worth another pass through the visibilities."""


@dataclass(frozen=True)
class Limits:
    """Where CLEAN stops; see :class:`contimg_image.params.ImageParams`."""

    auto_mask_sigma: float = 5.0
    threshold_sigma: float = 1.0
    threshold_jy: float = 0.0
    max_iterations: int = 50000
    max_majors: int = 15
    major_gain: float = 0.85


@dataclass(frozen=True)
class Cleaned:
    """What a backend makes of visibilities; images [y, x], shape (N, N)."""

    model: Image
    """Jy/pixel."""
    residual: Image
    """Jy/beam."""
    psf: Image
    """Peak 1."""
    iterations: int
    majors: int
    ended: str
    """Why it stopped: ``threshold``, ``iterations``, ``majors``, ``diverged``."""
    notes: dict[str, str] = field(default_factory=dict)
    """Versions of foreign programs."""


def mad_rms(values: Image) -> float:
    """Return 1.4826 times the median absolute deviation: the rms of Gaussian noise, blind to sources."""
    finite = values[np.isfinite(values)]
    return float(1.4826 * np.median(np.abs(finite - np.median(finite))))


def inner_mask(size: int) -> Mask:
    """Return the part of an image that is cleaned and measured: all but a narrow edge."""
    edge = max(1, round(_EDGE * size))
    mask = np.zeros((size, size), bool)
    mask[edge:-edge, edge:-edge] = True
    return mask


def deconvolve(
    gridder: Gridder,
    data: NDArray[np.complex64],
    minor: Callable[[Image], Minor],
    limits: Limits,
    report: Callable[[int, int, str], None] = lambda *_: None,
) -> Cleaned:
    """CLEAN with exact residuals after each major cycle.

    First everywhere down to ``auto_mask_sigma`` times the rms (by MAD, measured anew each time), then down to
    ``threshold_sigma`` times the rms where there are components already.

    Parameters
    ----------
    gridder
        Between the visibilities and images.
    data
        Visibilities, shape (R, C) [Jy].
    minor
        Makes the minor cycle from the PSF.
    report
        Told after each major cycle.
    """
    psf = gridder.psf()
    steps = minor(psf)
    residual = gridder.dirty(data)
    model = np.zeros_like(residual)
    inside = inner_mask(gridder.size)
    mask, deep = inside, limits.auto_mask_sigma == 0
    iterations, majors, ended = 0, 0, "threshold"
    while True:
        sigma = mad_rms(residual[inside])
        goal = max(limits.threshold_jy, sigma * (limits.threshold_sigma if deep else limits.auto_mask_sigma))
        peak = steps.peak(residual, mask)
        if peak <= goal * _CLOSE and not deep:
            mask, deep = inside & dilate(model != 0, 1), True
            continue
        ended = _ended(peak <= goal * _CLOSE, iterations, majors, limits)
        if ended:
            break
        limit = max(goal, (1 - limits.major_gain) * peak)
        iterations += steps.run(residual, mask, limit, limits.max_iterations - iterations, model)
        majors += 1
        fresh = gridder.dirty(data - gridder.predict(model))
        report(majors, limits.max_majors, f"major cycle: peak {peak:.4g} Jy/beam, {iterations} components")
        grown = steps.peak(fresh, mask) > _GROWTH * peak
        residual = fresh
        if grown:
            ended = "diverged"
            break
    return Cleaned(model, residual, psf, iterations, majors, ended)


def _ended(reached: bool, iterations: int, majors: int, limits: Limits) -> str:
    if reached:
        return "threshold"
    if iterations >= limits.max_iterations:
        return "iterations"
    return "majors" if majors >= limits.max_majors else ""
