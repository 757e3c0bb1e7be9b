from __future__ import annotations

import numpy as np

from contimg_convert import kernels

LIGHT = 299792458.0


def place(vis, flags, samples, row, turned, shift, freq):
    shape = (len(row), len(freq), vis.shape[2])
    out, out_flag = np.zeros(shape, np.complex64), np.zeros(shape, bool)
    weight, live = np.zeros((shape[0], shape[2]), np.float32), np.zeros((shape[0], shape[2]), np.int64)
    step = freq[1] - freq[0]
    outputs = (out, out_flag, weight, live, np.zeros(len(row), np.int64))
    kernels.place(vis, flags, samples, row, turned, shift, freq[0], step, *outputs, 0, len(row))
    return out, out_flag, weight, live


def test_place_against_the_formula():
    rng = np.random.default_rng(1)
    shape = (40, 48, 2)
    vis = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    flags = (rng.random(shape) < 0.1).astype(np.int8)
    vis[3, 5, 0], vis[4, 6, 1], vis[5] = 0, complex(np.nan, 1), complex(1, np.inf)
    samples = rng.random(shape).astype(np.float32)
    row, turned = rng.permutation(40), rng.random(40) < 0.5
    shift, freq = rng.uniform(-2600, 2600, 40), 1.31e9 + 244140.625 * np.arange(48)
    out, flag, weight, live = place(vis, flags, samples, row, turned, shift, freq)
    good = np.isfinite(vis) & (vis != 0)
    wanted = np.conj(np.where(good, vis, 0)[row] * np.exp(-2j * np.pi * shift[:, None] * freq / LIGHT)[:, :, None])
    wanted = np.where(turned[:, None, None], np.conj(wanted), wanted)
    assert np.abs(out - wanted).max() < 2e-6
    good = (good & (flags == 0))[row]
    assert np.array_equal(flag, ~good)
    assert np.array_equal(live, good.sum(1))
    assert np.allclose(weight, (samples[row] * good).sum(1), rtol=1e-5)


def test_phase_does_not_drift_over_many_channels():
    """The recurrence over 768 channels stays at float32 precision."""
    vis = np.ones((1, 768, 1), np.complex64)
    freq = 1.31e9 + 244140.625 * np.arange(768)
    shift = np.array([2601.63])
    ones = np.ones(vis.shape, np.float32)
    out, *_ = place(vis, np.zeros(vis.shape, np.int8), ones, np.array([0]), np.array([False]), shift, freq)
    assert np.abs(out[0, :, 0] - np.exp(2j * np.pi * shift[0] * freq / LIGHT)).max() < 1e-6


def test_threads_give_the_same_as_one():
    rng = np.random.default_rng(2)
    vis = (rng.normal(size=(60, 100, 2)) + 1j * rng.normal(size=(60, 100, 2))).astype(np.complex64)
    vis[7, 30, 1] = 50
    rows, starts = np.arange(60), np.arange(0, 61, 10)
    whole, parts = np.zeros(vis.shape, bool), np.zeros(vis.shape, bool)
    kernels.clip(vis, whole, rows, starts, 48, 7.0, 0, 6)
    for b in range(6):
        kernels.clip(vis, parts, rows, starts, 48, 7.0, b, b + 1)
    assert np.array_equal(whole, parts)
    assert whole[7, 30, 1]
    assert whole.sum() == 1
