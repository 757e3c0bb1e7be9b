"""The major cycle: visibilities to residual image, components, and back until nothing significant is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contimg_image.clean import Minor
from contimg_image.gridder import Gridder
from contimg_image.restoring import sidelobe

__all__ = ["Cleaned", "Limits", "deconvolve", "inner_mask", "mad_rms"]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

_EDGE = 0.02
"""Part of the image along each side that is never cleaned: the gridder's taper and half a PSF end there."""
_GROWTH = 1.5
"""A residual peak that grows by more than this over one major cycle diverges."""
_PROGRESS = 0.9
"""A major cycle that aimed at the threshold and left a peak above this part of the one before got nowhere."""
_PATIENCE = 2
"""Such cycles in a row that end it: what is left is no sum of components (calibration, changing sources)."""
_CLOSE = 2.5
"""After minor cycles that aimed at the threshold, a peak below this many thresholds and below the level of the mask is
not worth another pass: it is left by the PSF's change across the field, which the minor cycles do not know."""


_HIGHEST_SIDELOBE = 0.6
"""A PSF with higher sidelobes does not keep other sources from being found."""


_HIGHEST_LIMIT = 0.7
"""Minor cycles reach at least this part of the peak, whatever lies outside the mask."""


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
    """Why it stopped: ``threshold``, ``iterations``, ``majors``, ``stalled`` (nothing got better) or ``diverged`` (the
    state before it is kept)."""
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
    """CLEAN with residuals of the visibilities after each major cycle, exact ones before it ends.

    Components are searched where the residual is above ``auto_mask_sigma`` times its rms (by MAD, measured anew each
    time) and above what sidelobes of its highest peak can be, and where components were found before. There CLEAN goes
    down to ``threshold_sigma`` times the rms.

    Parameters
    ----------
    gridder
        Between the visibilities and images.
    data
        Visibilities, shape (R, C) [Jy].
    minor
        Makes the minor cycle from the PSF.
    limits
        Where to stop.
    report
        Told after each major cycle.
    """
    psf = gridder.psf()
    steps, lobes = minor(psf), min(sidelobe(psf), _HIGHEST_SIDELOBE)
    exact = not gridder.flat
    residual = gridder.dirty(data, exact=exact)
    model = np.zeros_like(residual)
    inside = inner_mask(gridder.size)
    iterations, majors, stalls, last, last_peak, aimed = 0, 0, 0, np.inf, np.inf, False
    before = model, residual
    while True:
        sigma = mad_rms(residual[inside])
        goal = max(limits.threshold_jy, limits.threshold_sigma * sigma)
        found = max(goal, limits.auto_mask_sigma * sigma)
        highest = float(np.abs(residual[inside]).max())
        level = max(found, lobes * highest) if limits.auto_mask_sigma > 0 else goal
        mask = (steps.significant(residual, level) | (model != 0)) & inside
        peak = steps.peak(residual, mask)
        reached = peak <= (min(level, _CLOSE * goal) if aimed else goal)
        stalls = stalls + 1 if aimed and peak > _PROGRESS * last_peak else 0
        ended = "diverged" if highest > _GROWTH * last else _ended(reached, stalls, iterations, majors, limits)
        if ended == "diverged":
            model, residual = before
        if ended and exact:
            return Cleaned(model, residual, psf, iterations, majors, ended)
        if ended:  # once more with all of w; what it brings to light is cleaned exactly
            exact, residual = True, gridder.dirty(data - gridder.predict(model))
            stalls, last, last_peak = 0, np.inf, np.inf
            continue
        outside = float(np.abs(residual[inside & ~mask]).max(initial=0.0))
        hidden = min(lobes * outside, _HIGHEST_LIMIT * peak) if outside > found else 0.0
        limit = max(goal, (1 - limits.major_gain) * peak, hidden)
        before = model.copy(), residual
        iterations += steps.run(residual, mask, limit, limits.max_iterations - iterations, model)
        majors, last, last_peak, aimed = majors + 1, highest, peak, limit == goal
        residual = gridder.dirty(data - gridder.predict(model, exact=exact), exact=exact)
        report(majors, limits.max_majors, f"major cycle: peak {peak:.4g} Jy/beam, {iterations} components")


def _ended(reached: bool, stalls: int, iterations: int, majors: int, limits: Limits) -> str:
    if reached:
        return "threshold"
    if stalls >= _PATIENCE:
        return "stalled"
    if iterations >= limits.max_iterations:
        return "iterations"
    return "majors" if majors >= limits.max_majors else ""
