from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from radio_objects import recording_of
from visibility_sim import Observation, random_array, simulate

from contimg.instruments import stations
from contimg_image.common import common_beam, declination_bin, synthetic_coverage
from contimg_image.params import ImageParams


@pytest.fixture(scope="module")
def recording():
    places = np.array([each.itrf_m for each in stations("dsa110") if each.active])
    freq = 1311.4e6 + 244140.625 * np.arange(768)
    made = recording_of(freq, telescope="OVRO_MMA", positions_m=places, width_hz=244140.625)
    return replace(made, times_s=5.2e9 + 12.88 * np.arange(24), interval_s=12.88)


def test_bins_are_a_tenth_of_a_degree_and_end_off_round_values():
    for dec in (-12.3, 0.0, 16.1, 16.15, 54.57):
        assert abs(declination_bin(dec) - dec) <= 0.05 + 1e-9
        assert declination_bin(dec + 0.001) == declination_bin(dec - 0.001) == declination_bin(dec)
    assert len({round(declination_bin(dec), 6) for dec in np.arange(0, 1, 0.01)}) == 11


def test_coverage_is_that_of_a_source_on_the_meridian():
    antennas = random_array(6, 500.0)
    obs = Observation(antennas, times_jd=np.array([2460700.5]), hour_angle_rad=np.zeros(1), dec_deg=20.0)
    uvw = simulate(obs)[0]
    found = synthetic_coverage(antennas, np.radians(20.0), 0.0, np.array([1.4e9]), 1.0).uvw_m
    # the array's mean longitude is a few micro-radians off the meridian that is given here
    assert np.abs(np.abs(found) - np.abs(uvw)).max() < 0.05


def test_coverage_turns_with_the_sky_during_a_recording():
    antennas = random_array(6, 500.0)
    hours = 7.2921159e-5 * np.array([-100.0, 100.0])
    obs = Observation(antennas, times_jd=np.full(2, 2460700.5), hour_angle_rad=hours, dec_deg=20.0)
    wanted = np.abs(simulate(obs)[0]).reshape(2, -1, 3)
    found = np.abs(synthetic_coverage(antennas, np.radians(20.0), 0.0, np.array([1.4e9]), 220.0).uvw_m).reshape(
        11, -1, 3
    )
    assert np.abs(found[[0, -1]] - wanted).max() < 0.05


def test_beam_of_the_array_at_declination_16(recording):
    beam = common_beam(recording, np.radians(16.1), ImageParams())
    assert beam.major_arcsec == pytest.approx(44.6, abs=0.3)
    assert beam.minor_arcsec == pytest.approx(16.45, abs=0.2)
    assert beam.pa_deg == pytest.approx(103.7, abs=0.5)


def test_the_circle_on_request_holds_the_ellipse(recording):
    ellipse = common_beam(recording, np.radians(16.1), ImageParams())
    circle = common_beam(recording, np.radians(16.1), ImageParams(beam="circle"))
    assert circle.major_arcsec == circle.minor_arcsec == np.ceil(ellipse.major_arcsec)


def test_beam_is_the_same_for_all_recordings_of_a_pointing(recording):
    first = common_beam(recording, np.radians(16.1), ImageParams())
    shuffled = replace(recording, positions_m=recording.positions_m[::-1].copy(), ra_rad=3.0)
    shuffled = replace(shuffled, times_s=recording.times_s[1:-1])
    assert common_beam(shuffled, np.radians(16.1001), ImageParams()) == first


def test_beam_knows_the_weighting_and_the_array(recording):
    first = common_beam(recording, np.radians(16.1), ImageParams())
    assert common_beam(recording, np.radians(16.1), ImageParams(robust=0.5)).major_arcsec > first.major_arcsec
    inner = np.linalg.norm(recording.positions_m - np.median(recording.positions_m, axis=0), axis=1) < 300
    small = replace(recording, positions_m=recording.positions_m[inner])
    assert common_beam(small, np.radians(16.1), ImageParams()).major_arcsec > first.major_arcsec
