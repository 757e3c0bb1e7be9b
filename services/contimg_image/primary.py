"""The primary beam over an image: mean over time and frequency of the antennas' power beam."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from contimg.radio.beams import drift_beam, power_beam
from contimg.radio.coordinates import hour_angle_dec, separation
from contimg_image.visibilities import Scene, Visibilities

__all__ = ["drifts", "pointing_dec", "primary_beam", "sampled"]

_KNOTS_PER_BEAM = 16
"""Points per λ/D where the beam is computed; a cubic spline between them is good to 1e-4."""
_FEWEST_KNOTS = 17
_TIMES = 12
_FREQUENCIES = 8
_DRIFTING = frozenset({"dsa110"})
"""Telescopes whose dishes stare at the meridian."""


def drifts(scene: Scene) -> bool:
    """Say whether the dishes stand still while the sky goes by."""
    return scene.telescope.key in _DRIFTING


def pointing_dec(scene: Scene, vis: Visibilities) -> float:
    """Return the apparent declination of the phase centre at mid-time [rad]: a drift scan's pointing."""
    start, end = vis.span_jd
    _, dec = hour_angle_dec(scene.ra_rad, scene.dec_rad, (start + end) / 2, scene.telescope)
    return float(dec)


def sampled(
    values: NDArray[np.float64], weights: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at most ``count`` weighted means of neighbouring values, and their weights (sum 1)."""
    order = np.argsort(values)
    parts = np.array_split(order[weights[order] > 0], count)
    kept = [part for part in parts if part.size]
    sums = np.array([weights[part].sum() for part in kept])
    means = np.array([np.average(values[part], weights=weights[part]) for part in kept])
    return means, sums / sums.sum()


def primary_beam(
    scene: Scene, vis: Visibilities, weight: NDArray[np.float32], wcs: WCS, size: int, model: str
) -> NDArray[np.float32]:
    """Return the power beam that the data of this image saw on average.

    Parameters
    ----------
    scene, vis
        Telescope, phase centre, times and frequencies.
    weight
        Imaging weights, shape (R, C): means over time and frequency are taken with them.
    wcs
        Celestial coordinates of the image.
    size
        Pixels along a side.
    model
        One of ``contimg.radio.beams.BEAM_MODELS``.

    Returns
    -------
    ndarray of float32, shape (size, size)
        1 on the axis (a little less for a drift scan).
    """
    width = np.radians(abs(wcs.wcs.cdelt[1])) * size * scene.telescope.dish_m / (299792458.0 / vis.freq_hz.max())
    knots = np.linspace(0, size - 1, min(size, max(_FEWEST_KNOTS, int(np.ceil(width * _KNOTS_PER_BEAM)) + 1)))
    x, y = np.meshgrid(knots, knots)
    ra, dec = np.radians(wcs.celestial.wcs_pix2world(x.ravel(), y.ravel(), 0))
    freq, per_freq = sampled(vis.freq_hz, weight.sum(axis=0, dtype=np.float64), _FREQUENCIES)
    values = _mean_beam(scene, vis, weight, model, (ra, dec), freq) @ per_freq
    spline: Any = RectBivariateSpline(knots, knots, values.reshape(x.shape))
    pixels = np.arange(size)
    return np.asarray(spline(pixels, pixels), np.float32)


def _mean_beam(
    scene: Scene,
    vis: Visibilities,
    weight: NDArray[np.float32],
    model: str,
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    freq: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Beam at the places and frequencies, shape (S, F), averaged over time."""
    dish = scene.telescope.dish_m
    if not drifts(scene):
        theta = separation(*places, scene.ra_rad, scene.dec_rad)
        return np.asarray(power_beam(model, theta[:, None], freq, dish))
    unique, which = np.unique(vis.time_jd, return_inverse=True)
    shares = np.bincount(which, weights=weight.sum(axis=1, dtype=np.float64)).astype(np.float64)
    times, per_time = sampled(unique, shares, _TIMES)
    beam = drift_beam(model, dish, *places, times, freq, pointing_dec(scene, vis), scene.telescope)
    return np.asarray(np.tensordot(per_time, beam, axes=1))
