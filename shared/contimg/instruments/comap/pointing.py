"""From azimuth and elevation to the sky, exactly, for every sample.

The slow parameters of erfa are computed every 10 s, the rotation of the Earth for each sample; no refraction, UTC, the
Earth's orientation as bundled. Against astropy's AltAz the places agree within 0.3″.
"""

from __future__ import annotations

from typing import Any

import erfa
import numpy as np
from astropy.time import Time
from astropy.utils import iers
from numpy.typing import NDArray

from contimg.instruments.comap.site import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG

__all__ = ["icrs_to_galactic", "to_galactic"]

Floats = NDArray[np.float64]
_STEP_S = 10.0
_GALACTIC = np.array(
    [
        [-0.0548755604162154, -0.8734370902348850, -0.4838350155487132],
        [+0.4941094278755837, -0.4448296299600112, +0.7469822444972189],
        [-0.8676661490190047, -0.1980763734312015, +0.4559837761750669],
    ]
)
"""ICRS to Galactic: Hipparcos, volume 1, eq. 1.5.11."""


def _astrom(mjd: Floats) -> tuple[Any, Floats]:
    """Return erfa's parameters at the start of each step, and UT1 of every sample [MJD]."""
    time = Time(mjd, format="mjd", scale="utc")
    xp, yp = iers.earth_orientation_table.get().pm_xy(time)
    astrom, _ = erfa.apco13(
        time.jd1,
        time.jd2,
        time.delta_ut1_utc,
        np.radians(LONGITUDE_DEG),
        np.radians(LATITUDE_DEG),
        HEIGHT_M,
        xp.to_value("rad"),
        yp.to_value("rad"),
        *(0.0, 0.0, 0.0, 0.5),  # no pressure: no refraction
    )[:2]
    return astrom, np.asarray(mjd + time.delta_ut1_utc / 86400.0)


def to_icrs(mjd: Floats, az_deg: Floats, el_deg: Floats) -> tuple[Floats, Floats]:
    """Return ICRS right ascension and declination in radians, shape (time,)."""
    steps = np.floor((mjd - mjd[0]) * 86400.0 / _STEP_S).astype(int)
    nodes = mjd[0] + (np.arange(steps[-1] + 1) + 0.5) * _STEP_S / 86400.0
    astrom, ut1 = _astrom(nodes)
    own = astrom[steps]
    since = (mjd - nodes[steps]) + ut1[steps]
    own = erfa.aper(erfa.era00(2400000.5, since), own)
    ri, di = erfa.atoiq("A", np.radians(az_deg), np.radians(90.0 - el_deg), own)
    ra, dec = erfa.aticq(ri, di, own)
    return np.asarray(ra), np.asarray(dec)


def icrs_to_galactic(ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
    """Return Galactic longitude (0-360) and latitude in degrees of ICRS places in radians, any shape."""
    xyz = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    x, y, z = np.tensordot(_GALACTIC, xyz, 1)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(np.clip(z, -1.0, 1.0)))


def to_galactic(mjd: Floats, az_deg: Floats, el_deg: Floats) -> tuple[Floats, Floats]:
    """Return Galactic longitude (0-360) and latitude.

    Parameters
    ----------
    mjd
        UTC, rising, (time,) [d].
    az_deg, el_deg
        Of each sample, (time,), in degrees.

    Returns
    -------
    tuple of ndarray
        (time,) each, in degrees.
    """
    return icrs_to_galactic(*to_icrs(mjd, az_deg, el_deg))
