import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time

from contimg.errors import BadConfig
from contimg.instruments import telescope
from contimg.radio.calibrators import calibrators, find, next_transits, transits_inside
from contimg.radio.coordinates import isot, jd, transit

DSA = telescope("dsa110")
START = Time("2026-01-25T22:26:00", scale="utc").jd
END = START + 309.2376 / 86400


def test_list_is_complete():
    """dsa110.md, section 6.3: 1041 entries have a 20 cm flux."""
    listed = calibrators()
    assert len(listed) == len({each.name for each in listed}) == 1041
    assert all(each.flux_jy >= 0 and 0 <= each.ra_deg < 360 and -50 < each.dec_deg < 90 for each in listed)


def test_position_and_flux_of_an_entry():
    source = find("2253+161")
    truth = SkyCoord("22h53m57.747932s", "+16d08m53.56089s")
    assert SkyCoord(source.ra_deg, source.dec_deg, unit="deg").separation(truth).arcsec < 0.01
    assert source.flux_jy == 10.0
    assert "3C454.3" in source.aliases


def test_southern_declination_near_zero_keeps_its_sign():
    assert find("0003-174").dec_deg == pytest.approx(-(17 + 27 / 60 + 11.781 / 3600), abs=1e-6)


@pytest.mark.parametrize("name", ["3C286", "3c286", "J1331+3030", "1328+307", "1331+305", "1331+30500002_0"])
def test_names_lead_to_3c286_with_the_flux_of_the_scale(name):
    source = find(name)
    assert source.name == "1331+305"
    assert source.flux_jy == pytest.approx(15.06, abs=0.01), "Perley-Butler 2017, not the 15.00 of the list"


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(BadConfig, match=r"'2253\+162'.*did you mean '2253\+161'"):
        find("2253+162")


def test_transit_inside_a_real_recording():
    (record,) = transits_inside(START, END, 16.27, DSA)
    assert record.name == "2253+161"
    exact = transit(np.radians(record.ra_deg), np.radians(record.dec_deg), START, DSA)
    assert isot(jd(record.transit)) == isot(exact) == "2026-01-25T22:27:24"
    assert 9.9 < record.apparent_flux_jy < record.flux_jy == 10.0


def test_limits_of_a_transit():
    when = jd(transits_inside(START, END, 16.27, DSA)[0].transit)
    second = 1 / 86400
    assert transits_inside(when - second, when + second, 16.27, DSA)
    assert not transits_inside(when + second, when + 300 * second, 16.27, DSA)
    assert not transits_inside(when - 300 * second, when - second, 16.27, DSA)
    app_dec = 16.27 + (16.288 - 16.27)
    assert transits_inside(START, END, app_dec + 0.95, DSA)
    assert not transits_inside(START, END, app_dec + 1.05, DSA), "more than 1 degree off the pointing"
    assert not transits_inside(START, END, 16.27, DSA, min_apparent_jy=10.5)


def test_beam_decides_over_faint_sources_off_the_axis():
    at_centre = transits_inside(START, END, 16.27, DSA)[0].apparent_flux_jy
    off = transits_inside(START, END, 15.4, DSA)[0].apparent_flux_jy
    assert off / at_centre == pytest.approx(0.76, abs=0.02)


def test_next_transits_cover_a_day_in_order():
    coming = next_transits(START, 16.15, DSA)
    when = [jd(each.transit) for each in coming]
    assert when == sorted(when)
    assert START <= when[0] < when[-1] < START + 1
    assert [each.name for each in coming][:2] == ["2253+161", "0020+156"]
    assert "0521+166" in {each.name for each in coming}
    assert len({each.name for each in coming}) == len(coming)


def test_a_source_that_just_passed_comes_back_a_sidereal_day_later():
    first = jd(transits_inside(START, END, 16.27, DSA)[0].transit)
    again = next(each for each in next_transits(first + 1 / 86400, 16.27, DSA) if each.name == "2253+161")
    assert jd(again.transit) - first == pytest.approx(86164.09 / 86400, abs=2e-6)
