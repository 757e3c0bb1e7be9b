"""What a mosaic is worth: noise, brightest source, area."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from contimg.radio.gaussians import Beam, Fit, fit_gaussian
from contimg_mosaic.grid import Grid

if TYPE_CHECKING:
    from contimg_mosaic.combine import Maps

__all__ = ["Brightest", "area_deg2", "brightest", "deep_rms", "mad_rms", "noise_ratio"]

SAMPLE = 4_000_000
"""At most so many pixels enter a median; more change nothing but the time."""

FIT_BEAMS = 0.5
"""Radius of the fit of the brightest source in beams; the top of a source is the most like the restoring beam."""

DEEP = 1.2
"""Pixels with at most this multiple of the lowest noise are the deep part."""


@dataclass(frozen=True)
class Brightest:
    """The brightest source by a fit."""

    peak_jy: float
    ra_deg: float
    dec_deg: float
    major_arcsec: float
    minor_arcsec: float


def mad_rms(values: NDArray[np.float32]) -> float:
    """Return 1.4826 times the median absolute deviation of the finite values, any shape [Jy/beam]; NaN: none."""
    good = values[np.isfinite(values)]
    good = good[:: max(1, good.size // SAMPLE)]
    if good.size == 0:
        return float("nan")
    return float(1.4826 * np.median(np.abs(good - np.median(good))))


def deep_rms(maps: Maps) -> float:
    """Return the measured rms (Jy/beam) of the part of the mosaic with the lowest expected noise."""
    lowest = float(np.nanmin(maps.noise))
    return mad_rms(maps.mosaic[maps.noise <= DEEP * lowest])


def noise_ratio(maps: Maps) -> float:
    """Return measured over expected noise of the whole mosaic; 1 when the noise map is true."""
    return mad_rms(maps.mosaic / maps.noise)


def area_deg2(maps: Maps, grid: Grid, band: int = 512) -> float:
    """Return the area of sky in which the mosaic has values, in square degrees."""
    total = 0.0
    columns = slice(0, grid.shape[1])
    for start in range(0, grid.shape[0], band):
        rows = slice(start, min(start + band, grid.shape[0]))
        total += float(grid.solid_angle(rows, columns)[maps.weight[rows] > 0].sum())
    return total


def brightest(maps: Maps, wcs: WCS, beam: Beam, cell_arcsec: float, threshold: float = 5.0) -> Brightest | None:
    """Fit the brightest pixel's source; None when nothing stands above ``threshold`` times the noise."""
    with np.errstate(invalid="ignore"):
        candidates = np.where(maps.mosaic > threshold * maps.noise, maps.mosaic, np.float32(-np.inf))
    y, x = np.unravel_index(int(np.argmax(candidates)), candidates.shape)
    peak = float(candidates[y, x])
    if not np.isfinite(peak):
        return None
    fit = _fit(maps, (peak, float(x), float(y)), beam, cell_arcsec)
    if not fit.converged:
        return None
    ra, dec = (float(v) for v in wcs.wcs_pix2world(*fit.position, 0))
    size = fit.shape(cell_arcsec)
    return Brightest(fit.amplitude, ra % 360.0, dec, size.major_arcsec, size.minor_arcsec)


def _fit(maps: Maps, start: tuple[float, float, float], beam: Beam, cell_arcsec: float) -> Fit:
    reach = max(2.5, FIT_BEAMS * beam.major_arcsec / cell_arcsec)
    x, y = int(start[1]), int(start[2])
    half = int(reach) + 3
    y0, x0 = max(0, y - half), max(0, x - half)
    cut = maps.mosaic[y0 : y + half + 1, x0 : x + half + 1].astype(np.float64)
    local = (start[0], start[1] - x0, start[2] - y0)
    fit = fit_gaussian(cut, local, beam.widths(cell_arcsec), float(maps.noise[y, x]), radius=reach)
    params = fit.params + np.array([0.0, x0, y0, 0.0, 0.0, 0.0])
    return Fit(params, fit.covariance, fit.converged)
