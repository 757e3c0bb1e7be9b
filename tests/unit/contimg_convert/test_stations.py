from __future__ import annotations

from dataclasses import replace

import pytest

from contimg_convert import stations


def moved(data, **changes):
    return replace(data, antennas=replace(data.antennas, **changes))


def test_official_positions_have_no_error(reference):
    assert stations.largest_error_m(reference) < 1e-3


def test_one_station_out_of_place_is_measured(reference):
    itrf = reference.antennas.itrf_m.copy()
    itrf[2, 1] += 0.3
    assert stations.largest_error_m(moved(reference, itrf_m=itrf)) == pytest.approx(0.3, abs=1e-3)


def test_common_shift_is_no_error(reference):
    assert stations.largest_error_m(moved(reference, itrf_m=reference.antennas.itrf_m + 50.0)) < 1e-3


def test_unknown_names_and_telescopes_are_not_judged(reference):
    names = tuple(f"pad{n}" for n in reference.antennas.names)
    assert stations.largest_error_m(moved(reference, names=names)) is None
    assert stations.largest_error_m(replace(reference, telescope="VLA")) is None
