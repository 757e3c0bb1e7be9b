"""Places and times for random directions, against the frames of astropy and against themselves."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.instruments import telescope
from contimg.radio import coordinates as co

TELESCOPES = [telescope("dsa110"), telescope("vla")]
FEW = settings(max_examples=20, deadline=None)
DAY = 2 * np.pi / co.SIDEREAL_RATE
SECOND = 1 / 86400

ra = st.floats(0, 2 * np.pi)
dec = st.floats(-np.pi / 2, np.pi / 2)
southern = st.floats(np.radians(-50), np.radians(85))
days = st.floats(2459580.5, 2461771.5)  # 2022 to 2028
observers = st.sampled_from(TELESCOPES)


def coord(a, d):
    return SkyCoord(a * u.rad, d * u.rad)


@FEW
@given(ra, dec, ra, dec)
def test_separation_is_that_of_astropy(a1, d1, a2, d2):
    found = co.separation(a1, d1, a2, d2)
    assert found == pytest.approx(coord(a1, d1).separation(coord(a2, d2)).rad, abs=3e-8)  # haversine near pi
    assert 0 <= found <= np.pi
    assert found == pytest.approx(co.separation(a2, d2, a1, d1), abs=1e-15)


@FEW
@given(ra, dec, ra, dec, ra, dec)
def test_no_way_round_is_shorter(a1, d1, a2, d2, a3, d3):
    direct = co.separation(a1, d1, a3, d3)
    assert direct <= co.separation(a1, d1, a2, d2) + co.separation(a2, d2, a3, d3) + 1e-7


@FEW
@given(ra, dec, ra, dec)
def test_direction_cosines_are_the_offset_frame_of_astropy(a, d, a0, d0):
    l, m, n1 = co.lmn(a, d, a0, d0)
    place = coord(a, d).transform_to(coord(a0, d0).skyoffset_frame()).cartesian
    assert (l, m, n1) == pytest.approx((place.y.value, place.z.value, place.x.value - 1), abs=1e-12)
    assert l**2 + m**2 + (n1 + 1) ** 2 == pytest.approx(1, abs=1e-12)
    assert n1 == pytest.approx(-2 * np.sin(co.separation(a, d, a0, d0) / 2) ** 2, abs=1e-9)


@FEW
@given(ra, southern, st.floats(-9, -4), st.floats(0, 2 * np.pi))
def test_small_offsets_keep_their_digits(a0, d0, power, angle):
    """n - 1 of an offset of a nanoradian is -5e-19; a difference of cosines would be 0."""
    size = 10**power
    east, north = size * np.sin(angle), size * np.cos(angle)
    _, _, n1 = co.lmn(a0 + east / np.cos(d0), d0 + north, a0, d0)
    assert n1 == pytest.approx(-(size**2) / 2, rel=5e-3 if power < -5 else 2e-2)


@FEW
@given(ra, southern, days, observers)
def test_a_transit_is_the_first_within_a_sidereal_day_and_on_the_meridian(a, d, after, observer):
    when = co.transit(a, d, after, observer)
    assert -0.01 * SECOND <= when - after <= DAY + 0.5 * SECOND
    hour_angle, _ = co.hour_angle_dec(a, d, when, observer)
    assert abs(np.degrees(hour_angle) * 3600) < 0.02
    before, _ = co.hour_angle_dec(a, d, when - 60 * SECOND, observer)
    assert before < 0, "rising before it, the upper transit"
    assert before == pytest.approx(-60 * SECOND * co.SIDEREAL_RATE, rel=1e-3)


@FEW
@given(days, southern, observers)
def test_the_meridian_transits_now_at_its_own_declination(when, apparent, observer):
    (a,), (d,) = co.meridian_icrs([when], apparent, observer)
    assert 0 <= a < 2 * np.pi
    hour_angle, found = co.hour_angle_dec(a, d, when, observer)
    assert abs(hour_angle) < 1e-9
    assert found == pytest.approx(apparent, abs=1e-9)
    gone = abs(co.transit(a, d, when, observer) - when) % DAY
    assert min(gone, DAY - gone) < 0.01 * SECOND


@FEW
@given(days, southern, observers)
def test_the_sky_is_back_after_a_sidereal_day(when, apparent, observer):
    found, _ = co.meridian_icrs(when + np.array([0, 0.25, 0.5, 0.75, 1]) * DAY, apparent, observer)
    track = np.unwrap(found)
    assert (np.diff(track) > 0).all(), "later is further east"
    assert track[-1] - track[0] == pytest.approx(2 * np.pi, abs=1e-4)


@settings(max_examples=100, deadline=None)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_julian_dates_and_times_are_inverse(when):
    assert abs((co.utc(co.jd(when)) - when).total_seconds()) < 1e-4
    text = datetime.fromisoformat(co.isot(co.jd(when))).replace(tzinfo=UTC)
    assert abs((text - when).total_seconds()) <= 0.5 + 1e-4
    assert co.isot(co.jd(when.replace(microsecond=0))) == when.strftime("%Y-%m-%dT%H:%M:%S")
