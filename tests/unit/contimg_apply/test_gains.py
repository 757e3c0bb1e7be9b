from __future__ import annotations

import numpy as np
import pytest
from radio_objects import caltable_of, recording_of

from contimg.errors import BadInput
from contimg_apply.gains import chosen_fields, hours_outside, interpolate, total_gains

TIMES = np.array([100.0, 200.0, 400.0])


def table_of(gain, flag=None, fields=(0, 0, 0), freqs=(1.4e9,)):
    return caltable_of(gain, TIMES, flag, fields, (10.0, 20.0, 50.0), freqs)


def grid_of(times, ra_deg=0.0, freqs=(1.4e9,)):
    return recording_of(freqs, times, ra_deg=ra_deg)


def series(values):
    return np.broadcast_to(np.asarray(values)[:, None, None, None], (3, 1, 2, 2))


ALL = np.ones(3, bool)


def test_linear_interpolates_amplitude_and_the_short_way_of_phase():
    found = table_of(series([1 * np.exp(3.0j), 2 * np.exp(-3.0j), 2 * np.exp(-3.0j)]))
    gain, flag = interpolate(found, ALL, grid_of([150, 300, 0, 999]), "linear")
    half_way = 3.0 + (2 * np.pi - 6.0) / 2
    np.testing.assert_allclose(gain[0], 1.5 * np.exp(1j * half_way), rtol=1e-5)
    np.testing.assert_allclose(gain[1], 2 * np.exp(-3.0j), rtol=1e-5)
    np.testing.assert_allclose(gain[2], np.exp(3.0j), rtol=1e-5)  # held outside
    np.testing.assert_allclose(gain[3], 2 * np.exp(-3.0j), rtol=1e-5)
    assert not flag.any()


def test_nearest_takes_the_nearest_used_solution():
    found = table_of(series([1, 2, 3]))
    assert interpolate(found, ALL, grid_of([149, 151, 320]), "nearest")[0][:, 0, 0, 0].real.tolist() == [1, 2, 3]
    use = np.array([True, False, True])
    assert interpolate(found, use, grid_of([149, 240, 260]), "nearest")[0][:, 0, 0, 0].real.tolist() == [1, 1, 3]


def test_a_flagged_solution_flags_what_needs_it():
    flag = np.zeros((3, 1, 2, 2), bool)
    flag[1, 0, 0, 1] = True
    found = table_of(series([1, 2, 3]), flag)
    grid = grid_of([50, 150, 220, 450])
    assert interpolate(found, ALL, grid, "linear")[1][:, 0, 0, 1].tolist() == [False, True, True, False]
    assert interpolate(found, ALL, grid, "nearest")[1][:, 0, 0, 1].tolist() == [False, False, True, False]
    assert not interpolate(found, ALL, grid, "linear")[1][:, 0, 1].any()


def test_total_is_the_product_and_zero_where_flagged():
    freqs = (1.4e9, 1.401e9)
    flag = np.zeros((3, 2, 2, 2), bool)
    flag[:, 1, 1, 0] = True
    band = table_of(np.full((3, 2, 2, 2), 2.0), flag, freqs=freqs)
    both = total_gains(
        [(band, ALL, "nearest"), (table_of(series([3j, 3j, 3j])), ALL, "linear")], grid_of([150], 0, freqs)
    )
    assert both.shape == (1, 2, 2, 2)
    assert both[0, 1, 1, 0] == 0
    np.testing.assert_allclose(both[0, 0], 6j, rtol=1e-6)


def test_bandpass_channels_go_by_frequency():
    band = table_of(
        np.broadcast_to(np.arange(1, 5)[None, :, None, None], (3, 4, 2, 2)), freqs=1.4e9 + 1e6 * np.arange(4)
    )
    grid = grid_of([150], 0, (1.402e9, 1.40101e9))
    assert total_gains([(band, ALL, "nearest")], grid)[0, :, 0, 0].real.tolist() == [3, 2]
    with pytest.raises(BadInput, match="kHz"):
        total_gains([(band, ALL, "nearest")], grid_of([150], 0, (1.5e9,)))


def test_target_takes_the_allowed_field_nearest_on_the_sky():
    found = table_of(series([1, 2, 3]), fields=(0, 1, 2))
    assert chosen_fields(found, ["a", "b"], grid_of([1000, 1100], 49)).tolist() == [False, True, False]
    assert chosen_fields(found, ["a", "b"], grid_of([1000, 1100], 11)).tolist() == [True, False, False]
    assert chosen_fields(found, [], grid_of([1000, 1100], 11)).all()
    assert chosen_fields(found, ["absent"], grid_of([1000, 1100], 11)).all()


def test_a_calibrator_scan_takes_its_own_solution():
    found = table_of(series([1, 2, 3]), fields=(0, 1, 2))
    assert chosen_fields(found, ["a"], grid_of([395, 405], 50)).tolist() == [False, False, True]
    assert chosen_fields(found, ["a"], grid_of([395, 405], 51)).tolist() == [True, False, False]


def test_window_is_inclusive():
    mjd = 61000.0
    times = np.array([mjd * 86400 - 10, mjd * 86400 + 10])
    assert hours_outside(times, [mjd, mjd + 1]) == 0
    assert hours_outside(times, [mjd - 1, mjd]) == 0
    assert hours_outside(times, [mjd + 0.5, mjd + 1]) == pytest.approx(12)
    assert hours_outside(times, [mjd - 3, mjd - 1]) == pytest.approx(24)
