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
    return recording_of(freq, telescope="OVRO_MMA", positions_m=places, width_hz=244140.625)


def test_bins_are_a_tenth_of_a_degree_and_end_off_round_values():
    for dec in (-12.3, 0.0, 16.1, 16.15, 54.57):
        assert abs(declination_bin(dec) - dec) <= 0.05 + 1e-9
        assert declination_bin(dec + 0.001) == declination_bin(dec - 0.001) == declination_bin(dec)
    assert len({round(declination_bin(dec), 6) for dec in np.arange(0, 1, 0.01)}) == 11


def test_coverage_is_that_of_a_source_on_the_meridian():
    antennas = random_array(6, 500.0)
    obs = Observation(antennas, times_jd=np.array([2460700.5]), hour_angle_rad=np.zeros(1), dec_deg=20.0)
    uvw = simulate(obs)[0]
    found = synthetic_coverage(antennas, np.radians(20.0), 0.0, np.array([1.4e9])).uvw_m
    # the array's mean longitude is a few micro-radians off the meridian that is given here
    assert np.abs(np.abs(found) - np.abs(uvw)).max() < 0.05


def test_beam_of_the_array_at_declination_16(recording):
    beam = common_beam(recording, np.radians(16.1), ImageParams())
    assert beam.major_arcsec == beam.minor_arcsec == round(beam.major_arcsec)
    assert 40 <= beam.major_arcsec <= 60


def test_beam_is_the_same_for_all_recordings_of_a_pointing(recording):
    first = common_beam(recording, np.radians(16.1), ImageParams())
    shuffled = replace(recording, positions_m=recording.positions_m[::-1].copy(), ra_rad=3.0)
    assert common_beam(shuffled, np.radians(16.1001), ImageParams()) == first


def test_beam_knows_the_weighting_and_the_array(recording):
    first = common_beam(recording, np.radians(16.1), ImageParams())
    assert common_beam(recording, np.radians(16.1), ImageParams(robust=0.5)).major_arcsec > first.major_arcsec
    inner = np.linalg.norm(recording.positions_m - np.median(recording.positions_m, axis=0), axis=1) < 300
    small = replace(recording, positions_m=recording.positions_m[inner])
    assert common_beam(small, np.radians(16.1), ImageParams()).major_arcsec > first.major_arcsec
