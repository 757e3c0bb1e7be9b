from __future__ import annotations

import numpy as np
import pytest

from contimg_solve.data import Block
from contimg_solve.stefcal import accumulate, baseline_index, new_sums, solve_gains

NANT, NCHAN, NTIME = 9, 5, 3


def block_of(gains, model, rng, noise=0.0, weight=1.0):
    """Rows in both orders of the antennas, with autocorrelations that must not matter."""
    first, second = np.triu_indices(NANT)
    swap = rng.random(len(first)) < 0.5
    first, second = np.where(swap, second, first), np.where(swap, first, second)
    first, second = np.tile(first, NTIME), np.tile(second, NTIME)
    vis = (gains[..., first] * gains[..., second].conj()).transpose(2, 0, 1) * model[:, :, None]
    vis = vis + noise * (rng.normal(size=vis.shape) + 1j * rng.normal(size=vis.shape))
    vis[first == second] = 1e6
    time = np.repeat(np.arange(NTIME), NANT * (NANT + 1) // 2)
    weights = np.full((len(first), 2), weight, np.float32)
    return Block(
        vis.astype(np.complex64), np.zeros(vis.shape, bool), weights, first, second, time, np.zeros((len(first), 3))
    )


@pytest.fixture
def case():
    rng = np.random.default_rng(4)
    gains = rng.uniform(0.5, 1.5, (NCHAN, 2, NANT)) * np.exp(1j * rng.uniform(-3, 3, (NCHAN, 2, NANT)))
    rows = NTIME * NANT * (NANT + 1) // 2
    model = (rng.normal(size=(rows, NCHAN)) + 1j * rng.normal(size=(rows, NCHAN))).astype(np.complex64)
    return rng, gains, model


def summed(block, model, bins=None, slots=None, pre=None):
    bins = np.arange(NCHAN) if bins is None else bins
    slots = np.zeros(len(block.vis), np.int64) if slots is None else slots
    pre = np.ones((NCHAN, 2, NANT), np.complex64) if pre is None else pre
    sums = new_sums(int(slots.max()) + 1, int(bins.max()) + 1, 2, NANT)
    accumulate(sums, block, model, pre, slots, bins)
    return sums


def against(gain, truth):
    ratio = gain / truth
    return ratio * np.exp(-1j * np.angle(ratio.mean(-1, keepdims=True)))


def test_each_pair_has_one_index_both_ways():
    index = baseline_index(4)
    assert sorted(index[np.triu_indices(4, 1)]) == list(range(6))
    assert (index == index.T).all()
    assert (np.diag(index) == -1).all()


def test_noise_free_gains_come_back_exactly(case):
    rng, gains, model = case
    gain, error, _ = solve_gains(summed(block_of(gains, model, rng), model), np.ones(NANT, bool), 4)
    assert gain.shape == (1, NCHAN, 2, NANT)
    np.testing.assert_allclose(against(gain[0], gains), 1, atol=2e-5)
    assert (np.abs(gain) / error > 1e3).all()


def test_error_is_the_scatter_of_repeated_solves(case):
    rng, gains, model = case
    gains = np.ones_like(gains)
    draws, errors = [], []
    for _ in range(60):
        gain, error, _ = solve_gains(summed(block_of(gains, model, rng, 0.2), model), np.ones(NANT, bool), 4)
        draws.append(np.abs(gain[0]))
        errors.append(error[0])
    scatter = np.sqrt(np.var(draws, axis=0, ddof=1).mean())
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(scatter, rel=0.1)


def test_weight_of_zero_and_flags_and_nan_leave_data_out(case):
    rng, gains, model = case
    block = block_of(gains, model, rng)
    bad = rng.random(block.vis.shape) < 0.2
    block.vis[bad] = np.nan
    half = rng.random(block.vis.shape) < 0.2
    block.vis[half], block.flag[half] = 99, True
    block.weight[5], block.vis[5] = 0, 99
    gain, _, _ = solve_gains(summed(block, model), np.ones(NANT, bool), 4)
    np.testing.assert_allclose(against(gain[0], gains), 1, atol=2e-5)


def test_known_gains_multiply_the_model_and_zero_excludes(case):
    rng, gains, model = case
    pre = gains.astype(np.complex64)
    pre[:, :, 2] = 0
    sums = summed(block_of(gains, model, rng), model, bins=np.zeros(NCHAN, np.int64), pre=pre)
    gain, error, _ = solve_gains(sums, np.ones(NANT, bool), 4)
    others = np.arange(NANT) != 2
    np.testing.assert_allclose(against(gain[0, 0][:, others], np.ones((2, NANT - 1))), 1, atol=2e-5)
    assert (gain[..., 2] == 0).all()
    assert np.isinf(error[..., 2]).all()


def test_bins_and_slots_of_minus_one_are_left_out(case):
    rng, gains, model = case
    block = block_of(gains, model, rng)
    bins, slots = np.array([-1, 0, -1, -1, -1]), np.where(block.time == 1, 0, -1)
    block.vis[:, [0, 2, 3, 4]] = 7
    block.vis[block.time != 1] = 7
    gain, _, _ = solve_gains(summed(block, model, bins, slots), np.ones(NANT, bool), 4)
    np.testing.assert_allclose(against(gain[0, 0], gains[1]), 1, atol=2e-5)


def test_antenna_with_too_few_baselines_has_no_gain(case):
    rng, gains, model = case
    block = block_of(gains, model, rng)
    lonely = (block.ant1 == 0) ^ (block.ant2 == 0)
    far = np.where(block.ant1 == 0, block.ant2, block.ant1) > 3
    block.flag[lonely & far] = True  # antenna 0 keeps baselines to 1, 2, 3
    sums = summed(block, model)
    assert (solve_gains(sums, np.ones(NANT, bool), 4)[0][..., 0] == 0).all()
    assert (solve_gains(sums, np.ones(NANT, bool), 3)[0][..., 0] != 0).all()


def test_noise_tells_the_bad_antenna(case):
    rng, gains, model = case
    block = block_of(gains, model, rng, 0.05)
    hit = (block.ant1 == 4) | (block.ant2 == 4)
    block.vis[hit] += 1.0 * (rng.normal(size=block.vis[hit].shape) + 1j * rng.normal(size=block.vis[hit].shape))
    _, _, noise = solve_gains(summed(block, model), np.ones(NANT, bool), 4)
    level = np.nanmedian(noise, axis=(0, 1, 2))
    assert level.argmax() == 4
    assert level[4] > 4 * np.median(level)


def test_no_data_gives_no_gains():
    gain, error, noise = solve_gains(new_sums(1, 2, 2, 5), np.ones(5, bool), 4)
    assert (gain == 0).all()
    assert np.isinf(error).all()
    assert np.isnan(noise).all()
