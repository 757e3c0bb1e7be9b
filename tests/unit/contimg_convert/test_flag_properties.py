"""What holds for every flagger on any data: flags only grow, data stay, thresholds are monotone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.radio.visibilities import CORR_LETTERS, CORR_TYPES, Antennas, Visibilities
from contimg_convert import flag

ANTENNAS, TIMES, CHANNELS = 5, 4, 48


def recording(seed, *, flagged=0.0, spikes=0.0):
    rng = np.random.default_rng(seed)
    one, two = np.triu_indices(ANTENNAS)
    shape = (TIMES * len(one), CHANNELS, 2)
    vis = (1 + 0.2 * (rng.normal(size=shape) + 1j * rng.normal(size=shape))).astype(np.complex64)
    vis[rng.random(shape) < spikes] *= 50
    names = tuple(str(n) for n in range(ANTENNAS))
    return Visibilities(
        telescope="dsa110",
        antennas=Antennas(names, names, np.zeros((ANTENNAS, 3)), np.ones(ANTENNAS)),
        vis=vis,
        flag=rng.random(shape) < flagged,
        weight=np.ones((shape[0], 2), np.float32),
        uvw_m=np.zeros((shape[0], 3)),
        time_jd=2461000.5 + np.repeat(np.arange(TIMES), len(one)) * 12.9 / 86400,
        interval_s=np.full(shape[0], 12.9),
        antenna1=np.tile(one, TIMES).astype(np.int32),
        antenna2=np.tile(two, TIMES).astype(np.int32),
        freq_hz=1.31e9 + 1e6 * np.arange(CHANNELS),
        width_hz=1e6,
        corr_types=(9, 12),
        ra_rad=0.0,
        dec_rad=0.0,
        source="x",
    )


FLAGGERS = {
    "edges": lambda data: flag.flag_autos_and_edges(data, 0.1),
    "dead": lambda data: flag.flag_dead(data, flag.measure(data), 0.5),
    "array": lambda data: flag.flag_array(data, flag.measure(data), 4.0, 6),
    "clip": lambda data: flag.clip_amplitudes(data, 5.0),
}


@pytest.mark.parametrize("name", FLAGGERS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 1 << 30), flagged=st.floats(0, 0.9), spikes=st.floats(0, 0.1))
def test_flags_only_grow_and_nothing_else_changes(name, seed, flagged, spikes):
    data, before = recording(seed, flagged=flagged, spikes=spikes), recording(seed, flagged=flagged, spikes=spikes)
    FLAGGERS[name](data)
    assert (data.flag >= before.flag).all()
    assert np.array_equal(data.vis, before.vis)
    assert np.array_equal(data.weight, before.weight)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 30), st.floats(2, 20), st.floats(0, 20))
def test_a_higher_clip_never_flags_more(seed, sigma, step):
    low, high = recording(seed, spikes=0.05), recording(seed, spikes=0.05)
    flag.clip_amplitudes(low, sigma)
    flag.clip_amplitudes(high, sigma + step)
    assert (low.flag >= high.flag).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 30), st.floats(0.001, 1000))
def test_the_unit_of_the_data_does_not_matter_to_the_clip(seed, scale):
    one, other = recording(seed, spikes=0.02), recording(seed, spikes=0.02)
    other.vis *= np.float32(2.0 ** round(np.log2(scale)))
    flag.clip_amplitudes(one, 6.0)
    flag.clip_amplitudes(other, 6.0)
    assert np.array_equal(one.flag, other.flag)


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 0.499))
def test_edges_take_equal_shares_of_both_ends(fraction):
    data = recording(1)
    flag.flag_autos_and_edges(data, fraction)
    whole = data.flag[data.cross].all((0, 2))
    edge = int(fraction * CHANNELS)
    assert whole[:edge].all()
    assert np.array_equal(whole, whole[::-1])
    assert whole.sum() == 2 * edge


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, ANTENNAS - 1))
def test_amplitudes_of_an_antenna_follow_its_gain_alone(seed, antenna):
    data, weak = recording(seed), recording(seed)
    rows = (data.antenna1 == antenna) ^ (data.antenna2 == antenna)
    weak.vis[rows] *= np.float32(0.25)
    plain, found = flag.measure(data).amplitude, flag.measure(weak).amplitude
    assert found[antenna] == pytest.approx(plain[antenna] / 4, rel=1e-5)
    others = [n for n in range(ANTENNAS) if n != antenna]
    assert (found[others] < plain[others]).all()


def test_everything_flagged_leaves_nothing_to_measure_and_nobody_alive():
    data = recording(1, flagged=1.1)
    measured = flag.measure(data)
    assert np.isnan(measured.spectrum).all()
    assert np.isnan(measured.amplitude).all()
    assert not flag.flag_dead(data, measured, 0.05).any()


def test_no_antenna_is_dead_below_zero():
    assert flag.flag_dead(recording(3), flag.measure(recording(3)), 0.0).all()


def test_polarizations_have_the_names_of_casacore():
    assert {CORR_LETTERS[code] for code in CORR_TYPES.values()} == {"RR", "RL", "LR", "LL", "XX", "XY", "YX", "YY"}
    assert [CORR_LETTERS[CORR_TYPES[p]] for p in (-1, -2, -5, -6)] == ["RR", "LL", "XX", "YY"]


def test_times_and_rows_of_a_recording():
    data = recording(1)
    rows = len(data.time_jd) // TIMES
    assert np.array_equal(data.time_index, np.repeat(np.arange(TIMES), rows))
    assert int(data.cross.sum()) == TIMES * ANTENNAS * (ANTENNAS - 1) // 2
    assert (data.end_jd - data.start_jd) * 86400 == pytest.approx(TIMES * 12.9, abs=1e-3)
    assert replace(data, antenna2=data.antenna1).cross.any() is np.False_
    assert len(data.antennas) == ANTENNAS
