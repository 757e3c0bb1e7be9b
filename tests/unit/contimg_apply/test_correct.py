from __future__ import annotations

import numpy as np
import pytest

from contimg_apply.correct import Rows, antenna_noise, clip, correct, noise_sums

NANT, NCHAN, NTIME = 7, 32, 6


@pytest.fixture
def case():
    rng = np.random.default_rng(9)
    first, second = np.triu_indices(NANT)
    n = len(first)
    rows = Rows(
        np.tile(first, NTIME),
        np.tile(second, NTIME),
        np.repeat(np.arange(NTIME), n),
        np.array([0, 1]),
        np.array([0, 1]),
    )
    gain = rng.uniform(0.5, 2, (NTIME, NCHAN, 2, NANT)) * np.exp(1j * rng.uniform(-3, 3, (NTIME, NCHAN, 2, NANT)))
    return rng, rows, gain.astype(np.complex64)


def noise(rng, shape, sigma=1.0):
    return (sigma * (rng.normal(size=shape) + 1j * rng.normal(size=shape))).astype(np.complex64)


def test_division_and_flags(case):
    rng, rows, gain = case
    gain[2, 5, 1, 3] = 0
    true = noise(rng, (len(rows.ant1), NCHAN, 2))
    factor = gain[rows.time, :, :, rows.ant1] * gain[rows.time, :, :, rows.ant2].conj()
    vis, flag = true * factor, np.zeros(true.shape, bool)
    power = correct(vis, flag, gain, rows)
    lost = factor == 0
    assert lost.any()
    assert (flag == lost).all()
    assert (vis[lost] == 0).all()
    np.testing.assert_allclose(vis[~lost], true[~lost], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(power, np.abs(factor) ** 2, rtol=1e-4)


def test_what_is_not_finite_is_flagged(case):
    rng, rows, gain = case
    vis = noise(rng, (len(rows.ant1), NCHAN, 2))
    vis[3, 4, 1], vis[5, 6, 0] = np.nan, np.inf
    flag = np.zeros(vis.shape, bool)
    correct(vis, flag, gain, rows)
    assert flag.sum() == 2
    assert np.isfinite(vis).all()


def test_cross_hands_take_a_gain_of_each_receptor(case):
    _, rows, gain = case
    crossed = Rows(rows.ant1, rows.ant2, rows.time, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    vis = np.ones((len(rows.ant1), NCHAN, 4), np.complex64)
    correct(vis, np.zeros(vis.shape, bool), gain, crossed)
    wanted = 1 / (gain[rows.time, :, 1, rows.ant1] * gain[rows.time, :, 0, rows.ant2].conj())
    np.testing.assert_allclose(vis[:, :, 2], wanted, rtol=1e-4)


def test_clip_takes_outliers_and_leaves_noise_and_sources(case):
    rng, rows, _ = case
    vis = noise(rng, (len(rows.ant1), NCHAN, 2)) + 5 * np.exp(1j * np.linspace(0, 9, NCHAN))[:, None]
    vis = vis.astype(np.complex64)
    hit = rng.random(vis.shape) < 0.01
    vis[hit] += 60
    flag = np.zeros(vis.shape, bool)
    flag[:4, :, 0] = True
    power = np.ones(vis.shape, np.float32)
    before = flag.copy()
    count = clip(vis, flag, power, 7.0)
    assert flag[hit].all()
    assert count == (flag & ~before).sum()
    assert (flag & ~before & ~hit).mean() < 1e-4


def test_clip_expects_more_noise_where_the_gain_is_low(case):
    rng, rows, _ = case
    power = np.ones((len(rows.ant1), NCHAN, 2), np.float32)
    power[:, 24:] = 0.05
    vis = noise(rng, power.shape) / np.sqrt(power)
    flag = np.zeros(vis.shape, bool)
    clip(vis.astype(np.complex64), flag, power, 7.0)
    assert flag.mean() < 1e-3
    flag[:] = False
    clip(vis.astype(np.complex64), flag, np.ones_like(power), 7.0)
    assert flag[:, 24:].mean() > 0.02


def test_clip_leaves_short_rows_alone():
    vis = np.zeros((1, 20, 1), np.complex64)
    vis[0, 3] = 1e6
    flag = np.ones(vis.shape, bool)
    flag[0, :7] = False
    assert clip(vis, flag, np.ones(vis.shape, np.float32), 7.0) == 0


def test_noise_of_each_antenna_is_found_under_gains_and_a_source(case):
    rng, _, gain = case
    repeat = 8
    first, second = (np.tile(x, NTIME * repeat) for x in np.triu_indices(NANT))
    n = NANT * (NANT + 1) // 2
    time = np.tile(np.repeat(np.arange(NTIME), n), repeat)
    rows = Rows(first, second, time, np.array([0, 1]), np.array([0, 1]))
    s = np.array([1.0, 2.0, 0.5, 1.5, 1.0, 3.0, 0.7])
    sigma = np.sqrt(s[first] * s[second])[:, None, None]
    delay = rng.uniform(-0.1, 0.1, len(first))[:, None, None] * np.arange(NCHAN)[None, :, None]
    vis = 3 * np.exp(2j * np.pi * delay) * gain[time, :, :, first] * gain[time, :, :, second].conj()
    vis = (vis + noise(rng, vis.shape) * sigma).astype(np.complex64)
    flag = rng.random(vis.shape) < 0.05
    power = correct(vis, flag, gain, rows)
    weight = np.ones((len(first), 2), np.float32)
    factors = antenna_noise(*noise_sums(vis, flag, power, weight, rows, NANT))
    np.testing.assert_allclose(factors, np.stack([s, s], 1), rtol=0.12)
    # half the integration time, half the weight: the noise for unit weight is the same
    halved = antenna_noise(*noise_sums(vis * np.float32(np.sqrt(2)), flag, power, weight / 2, rows, NANT))
    np.testing.assert_allclose(halved, factors, rtol=1e-4)


def test_antenna_without_data_gets_the_usual_noise():
    rng = np.random.default_rng(1)
    count = np.triu(np.full((5, 5), 50.0), 1)[..., None]
    count[4], count[:, 4] = 0, 0
    total = 4.0 * count * (1 + 0.01 * rng.normal(size=count.shape))
    np.testing.assert_allclose(antenna_noise(total, count)[:, 0], 2.0, rtol=0.03)
    assert (antenna_noise(total * 0, count * 0) == 1).all()
