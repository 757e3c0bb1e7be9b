"""Geometry of a drift recording: its one phase centre and the antennas towards it."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import EarthLocation
from numpy.typing import NDArray
from pyuvdata.utils import get_lst_for_time, phasing

from contimg.radio.coordinates import meridian_icrs
from contimg.radio.telescopes import Telescope

__all__ = ["antenna_uvw", "meridian_uvw", "phase_centre"]

Floats = NDArray[np.float64]


def phase_centre(times_jd: Floats, app_dec_rad: float, telescope: Telescope) -> tuple[float, float]:
    """Return the ICRS direction of the meridian at mid-time.

    Parameters
    ----------
    times_jd
        UTC centres of the integrations, shape (T,).
    app_dec_rad
        Apparent declination of the pointing.
    telescope
        The observer.

    Returns
    -------
    ra, dec
        ICRS, radians.
    """
    mid = (float(times_jd.min()) + float(times_jd.max())) / 2
    ra, dec = meridian_icrs(np.array([mid]), app_dec_rad, telescope)
    return float(ra[0]), float(dec[0])


def antenna_uvw(times_jd: Floats, ra_rad: float, dec_rad: float, positions_m: Floats, site: EarthLocation) -> Floats:
    """Return u, v, w of every antenna towards an ICRS direction, by pyuvdata's astrometry.

    Parameters
    ----------
    times_jd
        UTC, shape (T,), all different.
    ra_rad, dec_rad
        ICRS phase centre.
    positions_m
        ITRF minus array centre, shape (A, 3).
    site
        Array centre.

    Returns
    -------
    ndarray
        Shape (T, A, 3), metres, relative to the first antenna; the difference of two antennas is their baseline.
    """
    ra, dec = phasing.calc_app_coords(
        lon_coord=ra_rad, lat_coord=dec_rad, coord_frame="icrs", time_array=times_jd, telescope_loc=site
    )
    angle = phasing.calc_frame_pos_angle(
        time_array=times_jd, app_ra=ra, app_dec=dec, telescope_loc=site, ref_frame="icrs"
    )
    return _uvw(ra, dec, angle, get_lst_for_time(times_jd, telescope_loc=site), positions_m, site)


def meridian_uvw(app_dec_rad: float, positions_m: Floats, site: EarthLocation) -> Floats:
    """Return u, v, w of every antenna towards hour angle 0, shape (A, 3) [m]; the same at all times."""
    zero = np.zeros(1)
    return np.asarray(_uvw(zero, np.array([app_dec_rad]), zero, zero, positions_m, site)[0])


def _uvw(ra: Floats, dec: Floats, angle: Floats, lst: Floats, positions_m: Floats, site: EarthLocation) -> Floats:
    """Call pyuvdata for the baselines from the first antenna to each."""
    times, antennas = len(lst), len(positions_m)
    each = np.repeat(np.arange(times), antennas)
    uvw = phasing.calc_uvw(
        app_ra=ra[each],
        app_dec=dec[each],
        frame_pa=angle[each],
        lst_array=lst[each],
        use_ant_pos=True,
        antenna_positions=positions_m,
        antenna_numbers=np.arange(antennas),
        ant_1_array=np.zeros(times * antennas, int),
        ant_2_array=np.tile(np.arange(antennas), times),
        telescope_lat=site.lat.to_value(u.rad),
        telescope_lon=site.lon.to_value(u.rad),
    )
    return np.asarray(uvw, np.float64).reshape(times, antennas, 3)
