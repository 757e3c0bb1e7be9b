from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import ICRS, HADec, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from contimg.instruments import telescope
from contimg.radio import coordinates as co

DSA = telescope("dsa110")
ARCSEC = np.radians(1 / 3600)


def jd_of(text):
    return Time(text, scale="utc").jd


def hadec(ra_deg, dec_deg, jd):
    frame = HADec(obstime=Time(jd, format="jd", scale="utc"), location=DSA.location)
    return ICRS(ra_deg * u.deg, dec_deg * u.deg).transform_to(frame)


def test_importing_radio_switches_downloads_off():
    assert iers.conf.auto_download is False


def test_1911_161_transits_where_it_was_seen():
    """dsa110.md: the apparent place gives 23:13:16 UTC, LST = J2000 RA the wrong 23:12:06."""
    place = SkyCoord("19h11m58.2576s", "+16d11m46.861s")
    when = co.transit(place.ra.rad, place.dec.rad, jd_of("2025-11-18T12:00:00"), DSA)
    assert co.isot(when) == "2025-11-18T23:13:16"


def test_meridian_of_a_real_tile():
    """The phase centre that a real reduction of 2026-01-25T22:26:05 used; data begin 5 s before the name says."""
    middle = jd_of("2026-01-25T22:26:05") + 154.62 / 86400
    (ra,), (dec,) = co.meridian_icrs([middle], np.radians(16.2734), DSA)
    assert np.degrees(ra) == pytest.approx(343.804, abs=1e-3)
    (ra,), (dec,) = co.meridian_icrs([middle - 5.1 / 86400], np.radians(16.2734), DSA)
    assert np.degrees(ra) == pytest.approx(343.78273, abs=1e-3)
    assert np.degrees(dec) == pytest.approx(16.13423, abs=4e-4)


def test_hour_angle_and_declination_are_those_of_the_astropy_frame():
    times = jd_of("2026-01-25T22:26:00") + np.arange(4) / 24
    ra, dec = np.array([10.0, 343.5, 202.8]), np.array([-20.0, 16.15, 54.5])
    ha, app = co.hour_angle_dec(np.radians(ra)[:, None], np.radians(dec)[:, None], times, DSA)
    assert ha.shape == app.shape == (3, 4)
    for s in range(3):
        truth = hadec(ra[s], dec[s], times)
        wrapped = (ha[s] - truth.ha.rad + np.pi) % (2 * np.pi) - np.pi
        np.testing.assert_allclose(wrapped, 0, atol=0.001 * ARCSEC)
        np.testing.assert_allclose(app[s], truth.dec.rad, atol=0.001 * ARCSEC)


@pytest.mark.parametrize("month", [1, 5, 7, 10])
@pytest.mark.parametrize(("ra", "dec"), [(20.0, 16.1), (230.0, 54.6), (345.0, 71.6)])
def test_small_angles_appear_longer_or_shorter_by_the_season(month, ra, dec):
    """Angles of 1 degree around a direction in astropy's apparent frame over those of the ICRS."""
    jd = jd_of(f"2026-{month:02d}-25T22:26:00")
    centre = SkyCoord(ra, dec, unit="deg")
    around = centre.directional_offset_by(np.arange(0, 360, 45) * u.deg, 1 * u.deg)
    frame = HADec(obstime=Time(jd, format="jd", scale="utc"), location=DSA.location)
    seen = centre.transform_to(frame).separation(around.transform_to(frame)).deg
    assert co.aberration(np.radians(ra), np.radians(dec), jd) == pytest.approx(seen.mean(), abs=3e-6)


def test_many_directions_at_one_time_keep_their_places():
    """A known trap elsewhere: one time and many directions gave the first direction for all."""
    ra = np.radians(np.linspace(0, 350, 2000))
    ha, _ = co.hour_angle_dec(ra, np.zeros_like(ra), jd_of("2026-01-25T22:26:00"), DSA)
    assert len(np.unique(ha.round(6))) == 2000


def test_meridian_is_the_inverse_of_the_hour_angle():
    times = jd_of("2026-03-01T00:00:00") + np.arange(24) / 24
    ra, dec = co.meridian_icrs(times, np.radians(49.9), DSA)
    ha, app = co.hour_angle_dec(ra, dec, times, DSA)
    np.testing.assert_allclose(ha, 0, atol=1e-6 * ARCSEC * 1000)
    np.testing.assert_allclose(app, np.radians(49.9), atol=0.001 * ARCSEC)


def test_transit_is_the_first_at_or_after():
    ra, dec = np.radians(358.8), np.radians(49.8)
    first = co.transit(ra, dec, jd_of("2026-01-25T12:00:00"), DSA)
    assert abs(hadec(358.8, 49.8, first).ha.wrap_at(180 * u.deg).arcsec) < 0.02
    assert co.transit(ra, dec, first, DSA) == pytest.approx(first, abs=1e-8)
    later = co.transit(ra, dec, first + 1 / 86400, DSA)
    assert later - first == pytest.approx(86164.09 / 86400, abs=1e-6)


def test_lmn_of_a_source_to_the_north_east():
    centre, source = SkyCoord(359.9 * u.deg, 30 * u.deg), SkyCoord(0.6 * u.deg, 31.5 * u.deg)
    l, m, n1 = co.lmn(source.ra.rad, source.dec.rad, centre.ra.rad, centre.dec.rad)
    offset = source.transform_to(centre.skyoffset_frame()).cartesian
    assert (l, m) == pytest.approx((offset.y.value, offset.z.value), abs=1e-14)
    assert l > 0 < m
    assert n1 == pytest.approx(offset.x.value - 1, abs=1e-14)
    assert co.lmn(np.zeros((2, 3)), np.zeros((2, 3)), 0.0, 0.0).shape == (2, 3, 3)


def test_separation_is_right_for_small_and_large_angles():
    assert co.separation(1.0, 0.5, 1.0, 0.5 + 1e-9) == pytest.approx(1e-9, rel=1e-6)
    assert co.separation(0.0, 0.0, np.pi, 0.0) == pytest.approx(np.pi)
    assert co.separation(6.28, 0.0, 6.28 - 2 * np.pi, 0.0) == pytest.approx(0, abs=1e-12)


def test_julian_dates_and_datetimes():
    when = datetime(2026, 1, 25, 22, 26, 5, 500000, tzinfo=UTC)
    assert co.jd(when) == pytest.approx(jd_of("2026-01-25T22:26:05.5"), abs=1e-9)
    assert abs(co.utc(co.jd(when)) - when) < timedelta(milliseconds=1)
    assert co.jd(when.astimezone(timezone(timedelta(hours=5)))) == co.jd(when)
    assert co.jd(when.replace(tzinfo=None)) == co.jd(when)
    assert co.isot(jd_of("2026-01-25T22:26:04.6")) == "2026-01-25T22:26:05"
    assert co.isot(jd_of("2025-12-31T23:59:59.7")) == "2026-01-01T00:00:00"
