"""Baselines against astropy's own geometry, which shares only the IERS tables with pyuvdata's."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import HADec, SkyCoord
from astropy.time import Time

from contimg.instruments import stations, telescope
from contimg_convert import drift

DSA = telescope("dsa110")
TIMES = Time("2026-01-25T22:26:00") + np.arange(3) * 150 * u.s
NAMES = ("1", "51", "101", "108", "116")


@pytest.fixture(scope="module")
def positions():
    centre = np.array([axis.to_value(u.m) for axis in DSA.location.geocentric])
    return np.array([s.itrf_m for s in stations("dsa110") if s.name in NAMES]) - centre


def equatorial(positions):
    """ITRF to x towards hour angle 0, y east, z pole."""
    lon = DSA.location.lon.rad
    turn = np.array([[np.cos(lon), np.sin(lon), 0], [-np.sin(lon), np.cos(lon), 0], [0, 0, 1]])
    return positions @ turn.T


@pytest.mark.parametrize("app_dec_deg", [-20.0, 16.15, 60.0])
def test_phase_centre_is_on_the_meridian_at_mid_time(app_dec_deg):
    ra, dec = drift.phase_centre(TIMES.jd, np.radians(app_dec_deg), DSA)
    place = SkyCoord(ra * u.rad, dec * u.rad).transform_to(HADec(obstime=TIMES[1], location=DSA.location))
    assert abs(place.ha.wrap_at(180 * u.deg).arcsec) * np.cos(dec) < 0.05 * 15
    assert place.dec.deg == pytest.approx(app_dec_deg, abs=0.05 / 3600)


@pytest.mark.parametrize("app_dec_deg", [-20.0, 16.15, 60.0])
def test_w_is_the_delay_towards_the_source(positions, app_dec_deg):
    """w of every antenna is its projection on astropy's apparent direction, to the 0.7″ in which the two differ."""
    ra, dec = drift.phase_centre(TIMES.jd, np.radians(app_dec_deg), DSA)
    uvw = drift.antenna_uvw(TIMES.jd, ra, dec, positions, DSA.location)
    place = SkyCoord(ra * u.rad, dec * u.rad).transform_to(HADec(obstime=TIMES, location=DSA.location))
    ha, d = place.ha.rad, place.dec.rad
    direction = np.stack([np.cos(d) * np.cos(ha), -np.cos(d) * np.sin(ha), np.sin(d)], 1)
    wanted = direction @ equatorial(positions).T
    assert np.abs(uvw[..., 2] - (wanted - wanted[:, :1])).max() < 2700 * np.radians(1 / 3600)
    lengths = np.linalg.norm(positions - positions[0], axis=1)
    assert np.allclose(np.linalg.norm(uvw, axis=2), lengths[None], atol=1e-6)


def test_v_points_to_icrs_north(positions):
    """Moving the phase centre north by 10″ changes w by v times the angle."""
    ra, dec = drift.phase_centre(TIMES.jd, np.radians(16.15), DSA)
    step = np.radians(10 / 3600)
    here, north, east = (
        drift.antenna_uvw(TIMES.jd, ra + e * step / np.cos(dec), dec + n * step, positions, DSA.location)
        for n, e in ((0, 0), (1, 0), (0, 1))
    )
    assert np.allclose((north - here)[..., 2] / step, here[..., 1], atol=0.5)
    assert np.allclose((east - here)[..., 2] / step, here[..., 0], atol=0.5)


def test_meridian_uvw_by_hand(positions):
    dec = np.radians(16.15)
    x, y, z = (equatorial(positions) - equatorial(positions)[0]).T
    wanted = np.stack([y, z * np.cos(dec) - x * np.sin(dec), x * np.cos(dec) + z * np.sin(dec)], 1)
    assert np.abs(drift.meridian_uvw(dec, positions, DSA.location) - wanted).max() < 1e-6


def test_one_time_is_enough(positions):
    ra, dec = drift.phase_centre(TIMES.jd[:1], 0.3, DSA)
    assert drift.antenna_uvw(TIMES.jd[:1], ra, dec, positions, DSA.location).shape == (1, 5, 3)
