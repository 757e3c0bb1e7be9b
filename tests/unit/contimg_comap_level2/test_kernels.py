from __future__ import annotations

import numpy as np
import pytest

from contimg_comap_level2.kernels import airmass_sums, mend, pair_rms, project


@pytest.fixture
def power():
    return np.random.default_rng(5).normal(100.0, 2.0, (6, 3001)).astype(np.float32)


def test_holes_get_what_stood_before_them(power):
    power[2, :2], power[4, 7] = np.nan, np.inf
    before = power.copy()
    holes = np.zeros(3001, np.int32)
    assert mend(power, holes).tolist() == [0, 0, 2, 0, 1, 0]
    assert power[2, 0] == before[2, 2]
    assert power[4, 7] == before[4, 6]
    assert np.flatnonzero(holes).tolist() == [0, 1, 7]


def test_a_spike_is_no_noise(power):
    clean = pair_rms(power, 6.0)
    power[:, 100] += 5000.0
    np.testing.assert_allclose(pair_rms(power, 6.0), clean, rtol=0.005)
    np.testing.assert_allclose(clean, 2.0, rtol=0.06)


def test_sums_with_airmass_follow_the_gain(power):
    first, last = np.full(6, 0.5), np.full(6, 0.6)
    airmass = np.linspace(-1, 1, 3001)
    kelvin = power * np.linspace(0.5, 0.6, 3001)
    mean, product = airmass_sums(power, first, last, airmass)
    np.testing.assert_allclose(mean, kelvin.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(product, (kelvin * airmass).mean(axis=1), rtol=1e-5)


def test_projections_are_sums_over_channels(power):
    scale, base = np.ones((2, 6), np.float32), np.stack([np.full(6, 100), np.ones(6)]).astype(np.float32)
    weights = np.random.default_rng(1).random((4, 6)).astype(np.float32)
    airmass = np.linspace(-1, 1, 3001).astype(np.float32)
    bins = np.array([0, 0, -1, 1, 1, 1])
    sums = np.zeros((5, 3001), np.float32)
    project(power, scale, base, weights, airmass, bins, sums)
    left = power - 100 - airmass
    used = bins >= 0
    np.testing.assert_allclose(sums[1], weights[1][used] @ left[used], atol=1e-3)
    np.testing.assert_allclose(sums[4], weights[3][bins == 1] @ left[bins == 1], atol=1e-3)
