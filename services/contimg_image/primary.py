"""The primary beam over an image: mean over time and frequency of the antennas' power beam, and how it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from contimg.instruments import telescope_named
from contimg.radio.beams import drift_beam, power_beam
from contimg.radio.coordinates import hour_angle_dec, separation
from contimg.radio.ms.read import Recording
from contimg_image.visibilities import Visibilities

__all__ = ["PrimaryBeam", "Term", "drifts", "pointing_dec", "primary_beam", "sampled"]

_KNOTS_PER_BEAM = 16
"""Points per λ/D where the beam is computed; a cubic spline between them is good to 1e-4."""
_FEWEST_KNOTS = 17
_TIMES = 12
_FREQUENCIES = 8
_DARK = 0.005
"""Below this mean beam a relative change says nothing."""
_BRIGHT = 0.05
_STEADY = 0.003
"""A beam that changes by less than this wherever it is brighter than ``_BRIGHT`` counts as constant."""


def drifts(recording: Recording) -> bool:
    """Say whether the dishes stand still while the sky goes by."""
    return telescope_named(recording.telescope).drift_scan


def pointing_dec(recording: Recording, vis: Visibilities) -> float:
    """Return the apparent declination of the phase centre at mid-time [rad]: a drift scan's pointing."""
    start, end = vis.span_jd
    site = telescope_named(recording.telescope)
    _, dec = hour_angle_dec(recording.ra_rad, recording.dec_rad, (start + end) / 2, site)
    return float(dec)


def sampled(
    values: NDArray[np.float64], weights: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at most ``count`` weighted means of neighbouring values, shape (n,), and weights (pure numbers, sum 1)."""
    order = np.argsort(values)
    parts = np.array_split(order[weights[order] > 0], count)
    kept = [part for part in parts if part.size]
    sums = np.array([weights[part].sum() for part in kept])
    means = np.array([np.average(values[part], weights=weights[part]) for part in kept])
    return means, sums / sums.sum()


@dataclass(frozen=True)
class Term:
    """One way in which the beam changes: relative change at a pixel times a number for each visibility."""

    image: NDArray[np.float32]
    """Relative change per unit of ``factor``, shape (N, N)."""
    factor: NDArray[np.float32]
    """Time or frequency, mean 0 and variance 1 over the weights; shape (R, 1) or (1, C)."""


@dataclass(frozen=True)
class PrimaryBeam:
    """Power beam that the data of an image saw."""

    mean: NDArray[np.float32]
    """Mean over time and frequency, shape (N, N): 1 on the axis (a little less for a drift scan)."""
    terms: tuple[Term, ...]
    """First-order change in time and in frequency, where there is any."""


@dataclass(frozen=True)
class _Axis:
    """Time or frequency: what the data have, and a few values that stand for it."""

    own: NDArray[np.float64]
    values: NDArray[np.float64]
    shares: NDArray[np.float64]

    def scaled(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shift and scale to mean 0 and variance 1; all 0 where there is but one value."""
        mean = float(self.shares @ self.values)
        spread = float(np.sqrt(self.shares @ (self.values - mean) ** 2))
        return (numbers - mean) / spread if spread > 0 else np.zeros_like(numbers)


def primary_beam(
    recording: Recording, vis: Visibilities, weight: NDArray[np.float32], wcs: WCS, size: int, model: str
) -> PrimaryBeam:
    """Return the power beam that the data of this image saw.

    Parameters
    ----------
    recording, vis
        Telescope, phase centre, times and frequencies.
    weight
        Imaging weights, shape (R, C): means over time and frequency are taken with them.
    wcs
        Celestial coordinates of the image.
    size
        Pixels along a side.
    model
        One of ``contimg.radio.beams.BEAM_MODELS``.
    """
    dish = telescope_named(recording.telescope).dish_m
    width = np.radians(abs(wcs.wcs.cdelt[1])) * size * dish / (299792458.0 / vis.freq_hz.max())
    knots = np.linspace(0, size - 1, min(size, max(_FEWEST_KNOTS, int(np.ceil(width * _KNOTS_PER_BEAM)) + 1)))
    x, y = np.meshgrid(knots, knots)
    ra, dec = np.radians(wcs.celestial.wcs_pix2world(x.ravel(), y.ravel(), 0))
    time, freq = _axes(vis, weight)
    beam = _beam(recording, vis, model, (ra, dec), time.values, freq.values)
    mean = np.einsum("t,tsf,f->s", time.shares, beam, freq.shares)

    def image(values: NDArray[np.float64]) -> NDArray[np.float32]:
        spline: Any = RectBivariateSpline(knots, knots, values.reshape(x.shape))
        pixels = np.arange(size)
        return np.asarray(spline(pixels, pixels), np.float32)

    terms = []
    for axis, subscripts, shape in ((time, "t,t,tsf,f->s", (-1, 1)), (freq, "f,t,tsf,f->s", (1, -1))):
        change = np.einsum(subscripts, axis.scaled(axis.values), time.shares, beam, freq.shares)
        relative = np.where(mean > _DARK, np.clip(change / np.maximum(mean, _DARK), -1, 1), 0)
        if np.abs(relative[mean > _BRIGHT]).max(initial=0.0) > _STEADY:
            factor = axis.scaled(axis.own).astype(np.float32).reshape(shape)
            terms.append(Term(image(relative), factor))
    return PrimaryBeam(image(mean), tuple(terms))


def _axes(vis: Visibilities, weight: NDArray[np.float32]) -> tuple[_Axis, _Axis]:
    unique, which = np.unique(vis.time_jd, return_inverse=True)
    shares = np.bincount(which, weights=weight.sum(axis=1, dtype=np.float64)).astype(np.float64)
    time = _Axis(vis.time_jd, *sampled(unique, shares, _TIMES))
    freq = _Axis(vis.freq_hz, *sampled(vis.freq_hz, weight.sum(axis=0, dtype=np.float64), _FREQUENCIES))
    return time, freq


def _beam(
    recording: Recording,
    vis: Visibilities,
    model: str,
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
    times: NDArray[np.float64],
    freq: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Beam at times, places and frequencies, shape (T, S, F); a tracked field has the same at all times."""
    site = telescope_named(recording.telescope)
    if site.drift_scan:
        return drift_beam(model, site.dish_m, *places, times, freq, pointing_dec(recording, vis), site)
    theta = separation(*places, recording.ra_rad, recording.dec_rad)
    fixed = np.asarray(power_beam(model, theta[:, None], freq, site.dish_m))
    return np.broadcast_to(fixed, (len(times), *fixed.shape))
