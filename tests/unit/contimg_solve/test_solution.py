from __future__ import annotations

import numpy as np
import pytest

from contimg.errors import DataQuality
from contimg_solve.params import SolveParams
from contimg_solve.solution import Solution, fill_gaps, phase_scatter_deg, referenced, solve, stack
from contimg_solve.stefcal import new_sums

NAMES = ("1", "2", "3", "103")


def solution_of(gain, flag=None, times=(10.0,), fields=None):
    gain = np.asarray(gain, np.complex64)
    flag = np.zeros(gain.shape, bool) if flag is None else flag
    return Solution(
        gain,
        flag,
        np.where(flag, 0, 50).astype(np.float32),
        np.ones(gain.shape[-1], bool),
        np.array(times),
        np.full(len(times), 10.0),
        fields or ("f",) * len(times),
    )


def phases(shape, seed=1):
    return np.exp(1j * np.random.default_rng(seed).uniform(-3, 3, shape))


def test_first_wanted_antenna_gets_phase_zero_and_ratios_stay():
    gain = phases((2, 5, 2, 4))
    made, name = referenced(solution_of(gain, times=(1.0, 2.0)), NAMES, ("99", "103", "1"))
    assert name == "103"
    np.testing.assert_allclose(np.angle(made.gain[..., 3]), 0, atol=1e-6)
    np.testing.assert_allclose(made.gain[..., 0] / made.gain[..., 2], gain[..., 0] / gain[..., 2], rtol=1e-5)


def test_dead_reference_antenna_is_passed_over():
    flag = np.zeros((1, 6, 2, 4), bool)
    flag[:, :4, :, 3] = True
    assert referenced(solution_of(phases((1, 6, 2, 4)), flag), NAMES, ("103", "2"))[1] == "2"
    assert referenced(solution_of(phases((1, 6, 2, 4)), flag), NAMES, ())[1] == "1"


def test_where_the_reference_has_no_solution_another_stands_in_without_a_jump():
    antenna = np.exp(1j * np.array([0.3, -1.0, 2.0, 0.7]))
    common = phases((1, 8, 2, 1))  # any phase per channel: only ratios of antennas mean something
    flag = np.zeros((1, 8, 2, 4), bool)
    flag[0, 5, :, 3] = True
    made, _ = referenced(solution_of(antenna * common, flag), NAMES, ("103",))
    np.testing.assert_allclose(np.angle(made.gain[0, :, :, 1]), -1.7, atol=1e-5)
    assert (made.gain[0, 5, :, 3] == 1).all()


def test_short_gaps_are_filled_long_ones_and_ends_are_not():
    x = np.arange(20)
    gain = ((1 + 0.05 * x) * np.exp(1j * (2.5 + 0.2 * x)))[None, :, None, None]  # passes phase pi
    flag = np.zeros(gain.shape, bool)
    flag[0, [0, 4, 5, 6, 10, 11, 12, 13, 19]] = True
    spoilt = np.where(flag, 1, gain)
    made = fill_gaps(solution_of(spoilt, flag), 3)
    assert np.flatnonzero(made.flag[0, :, 0, 0]).tolist() == [0, 10, 11, 12, 13, 19]
    np.testing.assert_allclose(made.gain[0, 1:10], gain[0, 1:10], rtol=1e-5)
    assert (fill_gaps(solution_of(spoilt, flag), 0).flag == flag).all()


def test_phase_scatter_measures_noise_and_ignores_delays():
    rng = np.random.default_rng(3)
    x = np.arange(400)[None, :, None, None]
    smooth = np.exp(1j * (0.4 * x * rng.normal(size=(1, 1, 2, 4)) + rng.uniform(-3, 3, (1, 1, 2, 4))))
    noisy = smooth * np.exp(1j * np.radians(5.0) * rng.normal(size=(1, 400, 2, 4)))
    assert phase_scatter_deg(solution_of(smooth)) < 1e-3
    assert phase_scatter_deg(solution_of(noisy)) == pytest.approx(5.0, rel=0.1)
    assert phase_scatter_deg(solution_of(phases((1, 400, 2, 4)))) > 30  # no phase at all must not pass
    assert np.isnan(phase_scatter_deg(solution_of(smooth[:, :2])))


def test_stack_orders_by_time():
    made = stack(
        [solution_of(np.full((1, 1, 2, 4), k), times=(t,), fields=(f,)) for k, t, f in ((1, 9.0, "b"), (2, 3.0, "a"))]
    )
    assert made.times_s.tolist() == [3.0, 9.0]
    assert made.fields == ("a", "b")
    assert made.gain[:, 0, 0, 0].real.tolist() == [2, 1]


def test_flagged_counts_live_antennas_only():
    flag = np.zeros((1, 4, 2, 4), bool)
    flag[..., 0] = True
    flag[0, 0] = True
    made = solution_of(np.ones((1, 4, 2, 4)), flag)
    made = Solution(**(vars(made) | {"live": np.array([False, True, True, True])}))
    assert made.flagged() == pytest.approx(0.25)
    assert (made.as_factor()[flag] == 0).all()


def sums_of(gain, variance, per_vis=1.0):
    """Sums as noise of a variance per antenna would leave them on average."""
    nant = len(gain)
    sums = new_sums(1, 3, 2, nant)
    n = 100.0
    for i, j in zip(*np.triu_indices(nant, 1), strict=True):
        x = gain[i] * np.conj(gain[j])
        sums.product[0, sums.baseline[i, j]] = n * x
        sums.model[0, sums.baseline[i, j]] = n
        sums.power[0, sums.baseline[i, j]] = n * (
            abs(x) ** 2 + 2 * per_vis * np.sqrt(variance[i] * variance[j]) * abs(x) ** 2
        )
        sums.count[0, sums.baseline[i, j]] = n
    return sums


def test_noisy_antenna_is_cut_and_weak_ones_are_flagged():
    gain = np.array([1, 1.2, 0.9, 1.1, 1, 0.8, 1]) * np.exp(1j * np.arange(7))
    variance = np.array([1, 1, 1, 40, 1, 1, 1])
    made = solve(sums_of(gain, variance), SolveParams(min_snr=3), np.array([1.0]), np.array([1.0]), ["f"])
    assert made.flag[..., 3].all()
    assert not made.flag[..., [0, 1, 2, 4, 5, 6]].any()
    faint = solve(sums_of(gain, variance, 100.0), SolveParams(min_snr=20), np.array([1.0]), np.array([1.0]), ["f"])
    assert faint.flag.all()


def test_no_visibilities_at_all_is_a_matter_of_data_quality():
    with pytest.raises(DataQuality, match="3C286"):
        solve(new_sums(1, 1, 2, 5), SolveParams(), np.array([1.0]), np.array([1.0]), ["3C286"])
