"""Primary beams of one antenna, in power. The model is a parameter and is recorded with each product (``BEAMMOD``)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import j1

from contimg.errors import BadConfig
from contimg.radio.coordinates import hour_angle_dec, separation
from contimg.radio.telescopes import Telescope

__all__ = ["BEAM_MODELS", "drift_beam", "power_beam"]

Floats = NDArray[np.float64]

_LIGHT = 299792458.0


def _airy(turns: Floats) -> Floats:
    """Uniformly lit aperture, (2 J1(x) / x)^2 with x = pi D sin(theta) / lambda."""
    x = np.pi * np.maximum(turns, 1e-9)
    return np.asarray((2 * j1(x) / x) ** 2)


def _gaussian(turns: Floats) -> Floats:
    """Gaussian of FWHM 1.2 lambda / D."""
    return np.asarray(np.exp(-4 * np.log(2) * (turns / 1.2) ** 2))


def _dsacalib(turns: Floats) -> Floats:
    """Tapered law of dsa110-calib (fringestopping.py): (cos(pi a) / (1 - 4 a^2))^4 with a = 1.2 theta D / lambda."""
    a = 1.2 * turns
    near = np.abs(a - 0.5) < 1e-6  # removable: the limit is pi / 4
    ratio = np.cos(np.pi * a) / np.where(near, 1.0, 1 - 4 * a**2)
    return np.asarray(np.where(near, np.pi / 4, ratio) ** 4)


def _none(turns: Floats) -> Floats:
    return np.ones_like(turns)


_MODELS: dict[str, Callable[[Floats], Floats]] = {
    "airy": _airy,
    "gaussian": _gaussian,
    "dsacalib": _dsacalib,
    "none": _none,
}

BEAM_MODELS = tuple(_MODELS)


def power_beam(model: str, theta_rad: ArrayLike, freq_hz: ArrayLike, dish_m: float) -> Floats:
    """Return the power response of one dish off its axis, 1 on the axis.

    Parameters
    ----------
    model
        One of ``BEAM_MODELS``.
    theta_rad
        Angle from the axis, any shape [rad]; 90 degrees is the most that is told apart.
    freq_hz
        Frequency, a shape that broadcasts with ``theta_rad`` [Hz].
    dish_m
        Diameter [m].

    Raises
    ------
    BadConfig
        If the model is unknown.
    """
    if model not in _MODELS:
        raise BadConfig(f"beam model {model!r} is unknown; use one of {', '.join(BEAM_MODELS)}")
    theta = np.minimum(np.abs(np.asarray(theta_rad, np.float64)), np.pi / 2)
    arc = np.sin(theta) if model == "airy" else theta
    return _MODELS[model](np.asarray(arc * dish_m * np.asarray(freq_hz, np.float64) / _LIGHT))


def drift_beam(
    model: str,
    dish_m: float,
    ra_rad: ArrayLike,
    dec_rad: ArrayLike,
    times_jd: ArrayLike,
    freq_hz: ArrayLike,
    dec_app_rad: float,
    telescope: Telescope,
) -> Floats:
    """Return the response to sources that drift through a beam fixed on the meridian.

    Parameters
    ----------
    model, dish_m
        See `power_beam`.
    ra_rad, dec_rad
        ICRS directions of S sources, shape (S,) [rad].
    times_jd
        UTC Julian dates, shape (T,) [d].
    freq_hz
        Frequencies, shape (F,) [Hz].
    dec_app_rad
        Apparent declination of the beam's axis at hour angle 0 [rad].
    telescope
        The observer.

    Returns
    -------
    ndarray
        Power response, shape (T, S, F).
    """
    ra, dec = np.atleast_1d(np.asarray(ra_rad, np.float64)), np.atleast_1d(np.asarray(dec_rad, np.float64))
    times = np.atleast_1d(np.asarray(times_jd, np.float64))
    hour_angle, dec_app = hour_angle_dec(ra[None, :], dec[None, :], times[:, None], telescope)
    theta = separation(hour_angle, dec_app, 0.0, dec_app_rad)
    return power_beam(model, theta[..., None], np.atleast_1d(np.asarray(freq_hz, np.float64)), dish_m)
