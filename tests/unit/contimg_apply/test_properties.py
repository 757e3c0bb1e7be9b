"""Laws of applying gains that hold for any visibilities, tried on many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radio_objects import caltable_of, recording_of

from contimg_apply.correct import Rows, _median, antenna_noise, clip, correct, noise_sums
from contimg_apply.gains import chosen_fields, hours_outside, interpolate, total_gains

NANT, NCHAN, NTIME = 5, 12, 3
FEW = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def drawn(seed, dead=None):
    """Visibilities of all pairs and times, their rows, and gains of which some are 0."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(NANT)
    shape = (NTIME, NCHAN, 2, NANT)
    gain = rng.uniform(0.3, 3, shape) * np.exp(1j * rng.uniform(-np.pi, np.pi, shape))
    gain[rng.random(shape) < 0.05] = 0
    if dead is not None:
        gain[..., dead] = 0
    pair = np.array([0, 1])
    rows = Rows(np.tile(first, NTIME), np.tile(second, NTIME), np.repeat(np.arange(NTIME), len(first)), pair, pair)
    vis = rng.normal(size=(len(rows.ant1), NCHAN, 2)) + 1j * rng.normal(size=(len(rows.ant1), NCHAN, 2))
    return vis.astype(np.complex64), rows, gain.astype(np.complex64)


def corrected(vis, gain, rows):
    out, flag = vis.copy(), np.zeros(vis.shape, bool)
    power = correct(out, flag, gain, rows)
    return out, flag, power


@given(seeds)
@FEW
def test_applying_then_taking_back_changes_nothing(seed):
    vis, rows, gain = drawn(seed)
    out, flag, power = corrected(vis, gain, rows)
    inverse = np.divide(1, gain, out=np.zeros_like(gain), where=gain != 0)
    back, flag_back, power_back = corrected(out, inverse, rows)
    np.testing.assert_allclose(back[~flag], vis[~flag], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(flag_back, flag)
    np.testing.assert_allclose((power * power_back)[~flag], 1, rtol=1e-3)


@given(seeds, st.floats(-3, 3))
@FEW
def test_phase_common_to_all_antennas_does_not_matter(seed, phase):
    vis, rows, gain = drawn(seed)
    turned = (gain * np.exp(1j * phase)).astype(np.complex64)
    np.testing.assert_allclose(corrected(vis, turned, rows)[0], corrected(vis, gain, rows)[0], rtol=1e-3, atol=1e-4)


@given(seeds, st.floats(0.1, 10))
@FEW
def test_gains_k_times_as_high_lower_the_data_by_k_squared(seed, k):
    vis, rows, gain = drawn(seed)
    one, flag, power = corrected(vis, gain, rows)
    other, flag_k, power_k = corrected(vis, (gain * np.float32(k)).astype(np.complex64), rows)
    np.testing.assert_allclose(other * k**2, one, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(power_k, power * k**4, rtol=1e-3)
    np.testing.assert_array_equal(flag, flag_k)


@given(seeds)
@FEW
def test_pairs_turned_around_give_the_conjugate(seed):
    vis, rows, gain = drawn(seed)
    back = Rows(rows.ant2, rows.ant1, rows.time, rows.first, rows.second)
    np.testing.assert_allclose(
        corrected(vis.conj(), gain, back)[0], corrected(vis, gain, rows)[0].conj(), rtol=1e-4, atol=1e-5
    )


@given(seeds, st.integers(0, NANT - 1))
@FEW
def test_antenna_without_gains_is_flagged_and_no_other(seed, dead):
    vis, rows, gain = drawn(seed)
    gain[gain == 0] = 1
    gain[..., dead] = 0
    out, flag, _ = corrected(vis, gain, rows)
    hit = (rows.ant1 == dead) | (rows.ant2 == dead)
    assert flag[hit].all()
    assert not flag[~hit].any()
    assert not out[hit].any()


def test_flags_that_were_there_stay():
    vis, rows, gain = drawn(1)
    gain[gain == 0] = 1
    flag = np.random.default_rng(2).random(vis.shape) < 0.3
    before = flag.copy()
    correct(vis, flag, gain, rows)
    np.testing.assert_array_equal(flag, before)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60))
@FEW
def test_median_is_the_lower_one(values):
    array = np.array([*values, -5.0, 7.0], np.float32)  # what stands behind the first n does not count
    assert _median(array.copy(), len(values)) == np.sort(array[: len(values)])[(len(values) - 1) // 2]


@given(seeds, st.floats(0.01, 100))
@FEW
def test_clip_does_not_depend_on_the_unit(seed, k):
    rng = np.random.default_rng(seed)
    vis = (rng.normal(size=(6, 40, 2)) + 1j * rng.normal(size=(6, 40, 2))).astype(np.complex64)
    vis[rng.random(vis.shape) < 0.03] *= 30
    power, flags = np.ones(vis.shape, np.float32), []
    for factor in (1, k):
        flag = np.zeros(vis.shape, bool)
        assert clip(vis * np.float32(factor), flag, power, 6.0) == flag.sum()
        flags.append(flag)
    assert (flags[0] != flags[1]).sum() <= 1  # one may lie on the limit itself


@given(seeds)
@FEW
def test_lower_limit_clips_what_a_higher_one_does_and_more(seed):
    rng = np.random.default_rng(seed)
    vis = (rng.standard_cauchy(size=(6, 40, 2)) + 0j).astype(np.complex64)
    power, flags = np.ones(vis.shape, np.float32), []
    for limit in (3.0, 6.0, 1e9):
        flag = np.zeros(vis.shape, bool)
        clip(vis, flag, power, limit)
        flags.append(flag)
    assert (flags[0] | ~flags[1]).all()
    assert not flags[2].any()


@given(seeds, st.floats(0.1, 10))
@FEW
def test_noise_of_antennas_scales_with_the_variance(seed, k):
    rng = np.random.default_rng(seed)
    s = rng.uniform(0.5, 2, 6)
    count = np.triu(np.full((6, 6), 20.0), 1)[..., None]
    total = count * np.outer(s, s)[..., None]
    np.testing.assert_allclose(antenna_noise(total, count)[:, 0], s, rtol=1e-3)
    np.testing.assert_allclose(antenna_noise(k * total, count)[:, 0], np.sqrt(k) * s, rtol=1e-3)


def test_second_differences_do_not_see_a_slope_and_leave_autocorrelations_out():
    _, rows, _ = drawn(1)
    vis = (3 + 2j * np.arange(NCHAN))[None, :, None] * np.ones((len(rows.ant1), 1, 2))
    vis[rows.ant1 == rows.ant2] = np.random.default_rng(1).normal(size=(NTIME * NANT, NCHAN, 2))
    flag, ones = np.zeros(vis.shape, bool), np.ones(vis.shape, np.float32)
    weight = np.ones((len(vis), 2), np.float32)
    total, count = noise_sums(vis.astype(np.complex64), flag, ones, weight, rows, NANT)
    assert np.abs(total).max() < 1e-8
    assert (count[np.arange(NANT), np.arange(NANT)] == 0).all()
    assert (count[np.triu_indices(NANT, 1)] == NTIME * (NCHAN - 2)).all()


@pytest.mark.parametrize("channels", [1, 2])
def test_too_few_channels_tell_no_noise(channels):
    vis, rows, _ = drawn(1)
    few = np.ascontiguousarray(vis[:, :channels])
    sums = noise_sums(
        few, np.zeros(few.shape, bool), np.ones(few.shape, np.float32), np.ones((len(vis), 2)), rows, NANT
    )
    assert not sums[0].any()
    assert not sums[1].any()
    assert (antenna_noise(*sums) == 1).all()


def table_of(seed, slots=4, channels=1):
    rng = np.random.default_rng(seed)
    shape = (slots, channels, 2, NANT)
    gain = rng.uniform(0.5, 2, shape) * np.exp(1j * rng.uniform(-np.pi, np.pi, shape))
    times = np.cumsum(rng.uniform(10, 100, slots))
    freqs = 1.4e9 + 1e6 * np.arange(channels)
    return caltable_of(gain, times, rng.random(shape) < 0.1, freqs_hz=freqs, length_s=1.0)


def grid_of(times, channels=1):
    freqs = 1.4e9 + 1e6 * np.arange(channels)
    return recording_of(freqs, times, "abcde")


@given(seeds, st.sampled_from(["nearest", "linear"]))
@FEW
def test_at_the_time_of_a_solution_its_gain_is_applied(seed, how):
    found = table_of(seed)
    gain, flag = interpolate(found, np.ones(4, bool), grid_of(found.times_s), how)
    np.testing.assert_allclose(gain, found.gain, rtol=1e-5)
    np.testing.assert_array_equal(flag | found.flag, flag)  # linear may flag more, never less
    if how == "nearest":
        np.testing.assert_array_equal(flag, found.flag)


@given(seeds, st.floats(-200, 600))
@FEW
def test_amplitudes_lie_between_those_interpolated(seed, when):
    found = table_of(seed)
    gain, _ = interpolate(found, np.ones(4, bool), grid_of([when]), "linear")
    amplitude = np.abs(found.gain)
    assert (np.abs(gain[0]) >= amplitude.min(axis=0) * (1 - 1e-5)).all()
    assert (np.abs(gain[0]) <= amplitude.max(axis=0) * (1 + 1e-5)).all()


@given(seeds, st.permutations(range(4)))
@FEW
def test_order_of_the_rows_of_a_table_does_not_matter(seed, order):
    found, order = table_of(seed), list(order)
    mixed = replace(found, gain=found.gain[order], flag=found.flag[order], times_s=found.times_s[order])
    grid = grid_of(np.linspace(0, 400, 9))
    for how in ("nearest", "linear"):
        for one, other in zip(
            interpolate(found, np.ones(4, bool), grid, how),
            interpolate(mixed, np.ones(4, bool), grid, how),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


@given(seeds)
@FEW
def test_total_does_not_depend_on_the_order_of_the_tables(seed):
    every = np.ones(4, bool)
    parts = [(table_of(seed, channels=3), every, "nearest"), (table_of(seed + 1), every, "linear")]
    grid = grid_of([20.0, 90.0], channels=3)
    np.testing.assert_allclose(total_gains(parts, grid), total_gains(parts[::-1], grid), rtol=1e-5)
    assert (total_gains([], grid) == 1).all()


@given(st.floats(60000, 60010), st.floats(0, 5), st.floats(-10, 10))
@FEW
def test_hours_outside_is_the_distance_to_the_window(start, length, offset):
    window = [start, start + length]
    middle = start + offset
    wanted = 24 * max(start - middle, middle - start - length, 0)
    assert hours_outside(np.array([middle, middle]) * 86400, window) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("ra_deg", [0.0, 359.999])
def test_nearest_field_is_found_over_right_ascension_zero(ra_deg):
    found = table_of(1)
    two = caltable_of(found.gain, found.times_s, found.flag, [0, 0, 1, 1], (1.0, 357.0), found.freqs_hz)
    grid = recording_of(found.freqs_hz, (1e6, 1e6), ra_deg=ra_deg)
    assert chosen_fields(two, ["a", "b"], grid).tolist() == [True, True, False, False]
