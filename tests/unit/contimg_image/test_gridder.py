from __future__ import annotations

import numpy as np
import pytest

from contimg_image.gridder import Gridder, threads
from contimg_image.primary import Term

CELL = np.radians(20 / 3600)


def directions(size):
    """l (east) and m (north) of the pixels [y, x]."""
    offset = (np.arange(size) - size // 2) * CELL
    return -offset[None, :], offset[:, None]


def phases(vis, l, m):
    n1 = np.sqrt(1 - l**2 - m**2) - 1
    turns = vis.uvw_m @ np.array([l, m, n1])
    return np.exp(2j * np.pi * turns[:, None] * vis.freq_hz / 299792458.0)


@pytest.mark.parametrize("size", [64, 65])
def test_dirty_image_is_the_direct_sum(small_vis, size):
    gridder = Gridder(small_vis.uvw_m, small_vis.freq_hz, small_vis.weight, size, CELL, 1e-5)
    image = gridder.dirty(small_vis.data)
    l, m = (np.broadcast_to(each, (size, size)) for each in directions(size))
    for y, x in [(0, 0), (size // 2, size // 2), (5, 40), (60, 11), (size - 1, size - 1)]:
        terms = small_vis.weight * (small_vis.data * phases(small_vis, l[y, x], m[y, x]).conj()).real
        assert image[y, x] == pytest.approx(terms.sum() / small_vis.weight.sum(), abs=1e-4)


@pytest.mark.parametrize("size", [64, 65])
def test_prediction_is_the_direct_sum(small_vis, size):
    gridder = Gridder(small_vis.uvw_m, small_vis.freq_hz, small_vis.weight, size, CELL, 1e-5)
    model = np.zeros((size, size), np.float32)
    model[50, 9], model[12, 33] = 1.0, 0.5
    l, m = (np.broadcast_to(each, (size, size)) for each in directions(size))
    expected = phases(small_vis, l[50, 9], m[50, 9]) + 0.5 * phases(small_vis, l[12, 33], m[12, 33])
    assert np.abs(gridder.predict(model) - expected).max() < 1e-3


def test_prediction_follows_the_terms(small_vis):
    slope = np.linspace(-1, 1, small_vis.data.shape[0], dtype=np.float32)[:, None]
    change = np.zeros((64, 64), np.float32)
    change[50, 9] = 0.3
    gridder = Gridder(
        small_vis.uvw_m, small_vis.freq_hz, small_vis.weight, 64, CELL, 1e-5, terms=(Term(change, slope),)
    )
    model = np.zeros((64, 64), np.float32)
    model[50, 9] = 2.0
    l, m = (np.broadcast_to(each, (64, 64)) for each in directions(64))
    expected = 2 * (1 + 0.3 * slope) * phases(small_vis, l[50, 9], m[50, 9])
    assert np.abs(gridder.predict(model) - expected).max() < 2e-3


def test_source_in_the_north_east_is_up_and_left(small_vis):
    image = Gridder(small_vis.uvw_m, small_vis.freq_hz, small_vis.weight, 128, CELL).dirty(small_vis.data)
    y, x = np.unravel_index(image.argmax(), image.shape)
    assert y - 64 == round(0.15 * 3600 / 20)
    assert 64 - x == pytest.approx(0.2 * np.cos(np.radians(34.15)) * 3600 / 20, abs=0.6)


def test_psf_has_peak_one_in_the_middle(small_vis):
    psf = Gridder(small_vis.uvw_m, small_vis.freq_hz, small_vis.weight, 65, CELL).psf()
    assert psf[32, 32] == 1
    assert np.abs(psf).max() == 1


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert threads() >= 1
