"""Apparent places, transits and directions.

"Apparent" is what the antennas see: topocentric, of date, with aberration, light deflection, nutation, polar motion
and without refraction; hour angle and declination are those of ``astropy.coordinates.HADec``. All of it
comes from the SOFA routines in ``erfa``, vectorised over directions and times.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import erfa
import numpy as np
from astropy.time import Time
from astropy.utils import iers
from numpy.typing import ArrayLike, NDArray

from contimg.radio.telescopes import Telescope

__all__ = [
    "SIDEREAL_RATE",
    "aberration",
    "hour_angle_dec",
    "isot",
    "jd",
    "lmn",
    "meridian_icrs",
    "separation",
    "to_ms",
    "transit",
    "utc",
]

Floats = NDArray[np.float64]

SIDEREAL_RATE = 2 * np.pi * 1.00273781191135448
"""Rotation of the Earth, radians per UT1 day (IERS Conventions 2010, eq. 5.15)."""

_UNIX_EPOCH_JD = 2440587.5


def _astrom(times_jd: ArrayLike, telescope: Telescope) -> Any:
    """Return erfa's star-independent parameters (structured array) for every time."""
    times = Time(np.asarray(times_jd, np.float64), format="jd", scale="utc")
    xp, yp = iers.earth_orientation_table.get().pm_xy(times)
    place = telescope.location
    astrom, _ = erfa.apco13(
        times.jd1,
        times.jd2,
        times.delta_ut1_utc,
        place.lon.rad,
        place.lat.rad,
        place.height.value,
        xp.to_value("rad"),
        yp.to_value("rad"),
        *(0.0, 0.0, 0.0, 0.5),  # no pressure: no refraction
    )
    return astrom


def hour_angle_dec(
    ra_rad: ArrayLike, dec_rad: ArrayLike, times_jd: ArrayLike, telescope: Telescope
) -> tuple[Floats, Floats]:
    """Return the apparent hour angle and declination of ICRS directions.

    Parameters
    ----------
    ra_rad, dec_rad
        ICRS direction [rad]; scalar, or any shape that broadcasts with ``times_jd`` (``(S, 1)`` with ``(T,)``).
    times_jd
        UTC Julian dates, shape (T,) [d].
    telescope
        The observer.

    Returns
    -------
    hour_angle, declination
        Broadcast shape [rad]; the hour angle is in (-pi, pi], positive west of the meridian.
    """
    astrom = _astrom(times_jd, telescope)
    cirs_ra, cirs_dec = erfa.atciqz(np.asarray(ra_rad, np.float64), np.asarray(dec_rad, np.float64), astrom)
    _, _, hour_angle, dec, _ = erfa.atioq(cirs_ra, cirs_dec, astrom)
    return np.asarray(hour_angle), np.asarray(dec)


def meridian_icrs(times_jd: ArrayLike, dec_app_rad: float, telescope: Telescope) -> tuple[Floats, Floats]:
    """Return the ICRS direction of hour angle 0 at an apparent declination.

    Parameters
    ----------
    times_jd
        UTC Julian dates, shape (T,) [d].
    dec_app_rad
        Apparent declination [rad].
    telescope
        The observer.

    Returns
    -------
    ra, dec
        Shape (T,) each [rad], right ascension in [0, 2 pi).
    """
    astrom = _astrom(times_jd, telescope)
    cirs_ra, cirs_dec = erfa.atoiq("H", 0.0, dec_app_rad, astrom)
    ra, dec = erfa.aticq(cirs_ra, cirs_dec, astrom)
    return np.asarray(ra) % (2 * np.pi), np.asarray(dec)


def aberration(ra_rad: float, dec_rad: float, time_jd: float) -> float:
    """Return how much longer small angles around a direction appear than they are in the ICRS.

    Aberration maps the sphere onto itself conformally; by special relativity the scale in direction n is that of the
    Doppler shift, √(1 − β²) / (1 + β·n), with the velocity β of the Earth. Its daily part, 1.5e-6, is left out.

    Parameters
    ----------
    ra_rad, dec_rad
        ICRS direction [rad].
    time_jd
        UTC Julian date [d].

    Returns
    -------
    float
        Between 0.9999 and 1.0001.
    """
    time = Time(time_jd, format="jd", scale="utc").tdb
    _, barycentric = erfa.epv00(time.jd1, time.jd2)
    beta = barycentric["v"] * (erfa.DAU / erfa.DAYSEC / erfa.CMPS)
    return float(np.sqrt(1 - beta @ beta) / (1 + beta @ erfa.s2c(ra_rad, dec_rad)))


def transit(ra_rad: float, dec_rad: float, after_jd: float, telescope: Telescope) -> float:
    """Return the first apparent upper transit at or after a time.

    Parameters
    ----------
    ra_rad, dec_rad
        ICRS direction [rad].
    after_jd
        UTC Julian date [d].
    telescope
        The observer.

    Returns
    -------
    float
        UTC Julian date [d], good to the resolution of the Julian date (0.1 ms).
    """
    start, _ = hour_angle_dec(ra_rad, dec_rad, after_jd, telescope)
    behind = float(-start) % (2 * np.pi)
    if 2 * np.pi - behind < 1e-8:  # 0.1 ms before: the given time is the transit itself
        behind = 0.0
    when = after_jd + behind / SIDEREAL_RATE
    for _ in range(3):
        left, _ = hour_angle_dec(ra_rad, dec_rad, when, telescope)
        when -= float(left) / SIDEREAL_RATE
    return when


def lmn(ra_rad: ArrayLike, dec_rad: ArrayLike, ra0_rad: float, dec0_rad: float) -> Floats:
    """Return direction cosines about a phase centre.

    Parameters
    ----------
    ra_rad, dec_rad
        Directions, any equal shapes [rad].
    ra0_rad, dec0_rad
        Phase centre [rad].

    Returns
    -------
    ndarray
        Shape (..., 3): l (to the east), m (to the north) and n - 1. n - 1 is computed without cancellation.
    """
    delta = np.asarray(ra_rad, np.float64) - ra0_rad
    dec = np.asarray(dec_rad, np.float64)
    l = np.cos(dec) * np.sin(delta)
    m = np.sin(dec - dec0_rad) + 2 * np.cos(dec) * np.sin(dec0_rad) * np.sin(delta / 2) ** 2
    n1 = -2 * np.sin((dec - dec0_rad) / 2) ** 2 - 2 * np.cos(dec) * np.cos(dec0_rad) * np.sin(delta / 2) ** 2
    return np.stack(np.broadcast_arrays(l, m, n1), axis=-1)


def separation(ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike) -> Floats:
    """Return angles between directions (haversine) of any shapes that broadcast, all in radians."""
    first, second = np.asarray(dec1, np.float64), np.asarray(dec2, np.float64)
    half_ra = (np.asarray(ra1, np.float64) - np.asarray(ra2, np.float64)) / 2
    h = np.sin((first - second) / 2) ** 2 + np.cos(first) * np.cos(second) * np.sin(half_ra) ** 2
    return np.asarray(2 * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0))))


def utc(jd_utc: float) -> datetime:
    """Return a UTC Julian date as a datetime with zone, to the microsecond."""
    days = jd_utc - _UNIX_EPOCH_JD
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days)


def to_ms(jd_utc: float) -> datetime:
    """Return a UTC Julian date as a datetime with zone, to the nearest millisecond.

    A Julian date in double precision resolves 40 µs, and people write whole seconds.
    """
    rounded = utc(jd_utc) + timedelta(microseconds=500)
    return rounded.replace(microsecond=rounded.microsecond // 1000 * 1000)


def jd(when: datetime) -> float:
    """Return the UTC Julian date of a datetime; one without a zone is taken as UTC."""
    aware = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return _UNIX_EPOCH_JD + aware.timestamp() / 86400.0


def isot(jd_utc: float) -> str:
    """Return a UTC Julian date as ``2026-01-25T22:26:05``, to the nearest second."""
    return (utc(jd_utc) + timedelta(milliseconds=500)).strftime("%Y-%m-%dT%H:%M:%S")
