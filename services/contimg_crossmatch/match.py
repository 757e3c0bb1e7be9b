"""Matching sources with a catalog, forced photometry, and the figures that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from contimg_crossmatch.catalogs import Catalog, unit_vectors
from contimg_crossmatch.sky import Sky

__all__ = ["Matches", "Photometry", "forced_photometry", "inside", "match"]

Array = NDArray[np.float64]


APERTURE_BEAMS = 0.5
"""Radius of forced photometry in beams; a larger one gathers more noise than signal."""


@dataclass(frozen=True)
class Matches:
    """For every source the nearest catalog entry within the radius, (n,)."""

    index: NDArray[np.intp]
    """Row of the catalog; -1: none."""
    separation_arcsec: Array
    """NaN: none."""


@dataclass(frozen=True)
class Photometry:
    """Flux at catalog positions, (m,), of a point source seen through the beam."""

    flux: Array
    error: Array
    rms: Array


def _chord(arcsec: float) -> float:
    return float(2.0 * np.sin(np.radians(arcsec / 3600.0) / 2.0))


def match(ra_deg: Array, dec_deg: Array, catalog: Catalog, radius_arcsec: float) -> Matches:
    """Match places, shape (n,) [deg], by a KD-tree on unit vectors (no edge at RA 0 or the poles)."""
    empty = Matches(np.full(ra_deg.size, -1, np.intp), np.full(ra_deg.size, np.nan))
    if len(catalog) == 0 or ra_deg.size == 0:
        return empty
    tree = cKDTree(unit_vectors(catalog.ra_deg, catalog.dec_deg))
    chord, index = tree.query(unit_vectors(ra_deg, dec_deg), distance_upper_bound=_chord(radius_arcsec))
    found = np.isfinite(chord)
    angle = np.degrees(2.0 * np.arcsin(np.where(found, chord, 0.0) / 2.0)) * 3600.0
    return Matches(np.where(found, index, -1).astype(np.intp), np.where(found, angle, np.nan))


def inside(sky: Sky, catalog: Catalog) -> tuple[Catalog, Array, Array]:
    """Return the m catalog sources on pixels with data, and their x and y, shape (m,) each, in pixels."""
    ra0, dec0 = sky.wcs.wcs.crval
    same_side = unit_vectors(catalog.ra_deg, catalog.dec_deg) @ unit_vectors(ra0, dec0) > 0.0
    near = catalog.take(same_side)
    if len(near) == 0:
        return near, np.empty(0), np.empty(0)
    x, y = sky.wcs.wcs_world2pix(near.ra_deg, near.dec_deg, 0)
    covered = np.isfinite(sky.rms_at(x, y))
    return near.take(covered), x[covered], y[covered]


def forced_photometry(sky: Sky, x: Array, y: Array) -> Photometry:
    """Measure a point source of the beam's shape at each position, (m,) pixels, by least squares.

    The error is that of this estimate in noise of the measured correlation.
    """
    cxx, cyy, cxy = sky.form()
    radius = max(1.5, APERTURE_BEAMS * sky.beam_pixels)
    reach = int(np.ceil(radius)) + 1
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    flux, error = np.full(x.size, np.nan), np.full(x.size, np.nan)
    rms = sky.rms_at(x, y)
    image = np.pad(sky.image, reach, constant_values=np.nan)
    k = sky.correlation.shape[0] // 2
    for i in range(x.size):
        px, py = round(float(x[i])), round(float(y[i]))
        cut = image[py : py + 2 * reach + 1, px : px + 2 * reach + 1].astype(np.float64)
        ox, oy = dx - (x[i] - px), dy - (y[i] - py)
        shape = np.exp(-0.5 * (cxx * ox**2 + cyy * oy**2 + cxy * ox * oy))
        shape = np.where(np.isfinite(cut) & (np.hypot(ox, oy) <= radius), shape, 0.0)
        norm = float((shape**2).sum())
        if norm == 0.0:
            continue
        flux[i] = float((shape * np.nan_to_num(cut)).sum()) / norm
        spectrum = np.abs(np.fft.rfft2(shape, (2 * (2 * reach + 1), 2 * (2 * reach + 1)))) ** 2
        overlap = np.fft.irfft2(spectrum)
        shift = np.arange(-min(k, 2 * reach), min(k, 2 * reach) + 1)
        variance = float((overlap[np.ix_(shift, shift)] * sky.correlation[np.ix_(shift + k, shift + k)]).sum())
        error[i] = float(rms[i]) * np.sqrt(max(variance, 0.0)) / norm
    return Photometry(flux, error, rms)
