"""The flux scale by any name and at any frequency, and the calibrator list that uses it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.errors import BadConfig
from contimg.instruments import telescope
from contimg.radio.calibrators import LIST_FREQ_HZ, calibrators, find, next_transits, transits_inside
from contimg.radio.fluxscale import is_primary, perley_butler_2017, primary_name, primary_names

PRIMARIES = ("3C48", "3C123", "3C138", "3C147", "3C196", "3C286", "3C295", "3C380")
names = st.sampled_from([(main, alias) for main in PRIMARIES for alias in primary_names(main)])
DSA = telescope("dsa110")
FEW = settings(max_examples=40, deadline=None)


def spellings(alias, how):
    return {"plain": alias, "lower": alias.lower(), "blanks": f" {alias[:2]} {alias[2:]} "}[how]


@FEW
@given(names, st.sampled_from(["plain", "lower", "blanks"]), st.floats(0.3e9, 4e9))
def test_every_alias_is_the_same_source(pair, how, freq):
    main, alias = pair
    text = spellings(alias, how)
    assert primary_name(text) == main
    assert is_primary(text)
    assert perley_butler_2017(text, freq) == perley_butler_2017(main, freq)


@pytest.mark.parametrize("name", PRIMARIES)
@FEW
@given(st.floats(1.0e9, 4e9), st.floats(1.01, 2))
def test_steep_sources_fade_with_frequency(name, freq, factor):
    low, high = perley_butler_2017(name, [freq, min(freq * factor, 4e9)])
    assert low >= high > 0


@pytest.mark.parametrize("name", PRIMARIES)
def test_spectra_are_smooth_over_the_band(name):
    freq = np.linspace(1.28e9, 1.53e9, 200)
    index = np.diff(np.log(perley_butler_2017(name, freq))) / np.diff(np.log(freq))
    assert (np.abs(np.diff(index)) < 0.005).all()
    assert (index < -0.3).all()
    assert (index > -1.1).all()


@pytest.mark.parametrize("name", [name for name in PRIMARIES if name != "3C123"])  # too large for a calibrator
def test_the_list_knows_the_primaries_by_every_name(name):
    source = find(name)
    assert all(find(alias) is source for alias in primary_names(name))
    assert source.flux_jy == pytest.approx(float(perley_butler_2017(name, LIST_FREQ_HZ)))


def test_the_list_is_complete_and_plausible():
    listed = calibrators()
    assert len(listed) == 1041
    assert len({each.name for each in listed}) == len(listed)
    assert all(0 <= each.ra_deg < 360 and -90 <= each.dec_deg <= 90 and each.flux_jy >= 0 for each in listed)


def test_a_source_without_a_flux_density_is_no_calibrator_even_without_a_limit():
    dark = next(each for each in calibrators() if each.flux_jy == 0)
    found = next_transits(2461000.0, dark.dec_deg, DSA, min_apparent_jy=0.0)
    assert found
    assert dark.name not in {each.name for each in found}
    assert all(each.flux_jy > 0 for each in found)


@FEW
@given(st.sampled_from(calibrators()), st.booleans())
def test_every_listed_source_is_found_by_its_name(source, lower):
    assert find(source.name.lower() if lower else f" J{source.name}") is source


@pytest.mark.parametrize(("wrong", "near"), [("1331+306", "1331+305"), ("J0137+332", "0137+331")])
def test_an_unknown_calibrator_is_told_with_the_nearest(wrong, near):
    with pytest.raises(BadConfig, match=r"is not in the packaged 20 cm list; did you mean ") as caught:
        find(wrong)
    assert caught.value.exit_code == 78
    assert str(caught.value).endswith(f"did you mean '{near}'?")


@settings(max_examples=4, deadline=None)
@given(st.floats(2460000, 2461000), st.floats(-30, 80), st.floats(0.5, 5), st.floats(0.2, 1.5))
def test_next_transits_keep_to_their_limits_and_come_in_order(after, dec, least, offset):
    found = next_transits(after, dec, DSA, least, offset)
    times = [each.transit for each in found]
    assert times == sorted(times)
    assert all(least <= each.apparent_flux_jy <= each.flux_jy for each in found)
    stricter = next_transits(after, dec, DSA, least * 2, offset / 2)
    assert {each.name for each in stricter} <= {each.name for each in found}


@settings(max_examples=2, deadline=None)
@given(st.floats(2460000, 2461000), st.floats(0.1, 0.9))
def test_two_halves_of_a_day_hold_what_the_day_holds(start, share):
    middle, end = start + share * 0.99, start + 0.99
    whole = {each.name for each in transits_inside(start, end, 33.0, DSA)}
    halves = [transits_inside(start, middle, 33.0, DSA), transits_inside(middle, end, 33.0, DSA)]
    assert whole == {each.name for half in halves for each in half}
