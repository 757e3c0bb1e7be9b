from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from contimg_image import gridder as module
from contimg_image.gridder import Gridder, chunks
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


def test_chunks_hold_each_row_once_by_distance_in_w():
    w = np.random.default_rng(4).normal(size=1000)
    parts = chunks(w, 3_000_000, 1_000_000)
    assert len(parts) == 6
    assert sorted(np.concatenate(parts)) == list(range(1000))
    assert all((np.diff(part) > 0).all() for part in parts)
    reach = [np.abs(w[part]) for part in parts]
    assert all(near.max() <= far.min() for near, far in pairwise(reach))


@pytest.mark.parametrize(("samples", "count"), [(10, 2), (1500, 3), (10**9, 8)])
def test_the_number_of_chunks_is_a_matter_of_data_and_pixels(samples, count):
    assert len(chunks(np.arange(100.0), samples, 1000)) == count


def test_one_row_is_one_chunk():
    assert [part.tolist() for part in chunks(np.zeros(1), 1, 1)] == [[0]]


def test_chunks_gridded_at_a_time_change_nothing(small_vis, monkeypatch):
    made = Gridder(small_vis.uvw_m, small_vis.freq_hz, small_vis.weight, 128, CELL)
    image = made.dirty(small_vis.data)
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    assert np.array_equal(made.dirty(small_vis.data), image)


def test_weak_terms_are_as_accurate_as_the_model(small_vis):
    change = np.zeros((64, 64), np.float32)
    change[50, 9] = 1e-3
    slope = np.linspace(-1, 1, small_vis.data.shape[0], dtype=np.float32)[:, None]
    model = np.zeros((64, 64), np.float32)
    model[50, 9] = 1.0
    l, m = (np.broadcast_to(each, (64, 64)) for each in directions(64))
    expected = (1 + 1e-3 * slope) * phases(small_vis, l[50, 9], m[50, 9])
    term = Term(change, slope)
    found = Gridder(small_vis.uvw_m, small_vis.freq_hz, small_vis.weight, 64, CELL, 1e-5, (term,)).predict(model)
    assert np.abs(found - expected).max() < 1e-4


SAME = Path(__file__).parents[2] / "support" / "imaging_digests.py"


@pytest.mark.parametrize("cores", [1, 2])
def test_images_are_the_same_on_any_number_of_cores(cores):
    """Fails with threads of ducc0 that follow the processors: sums in any order, transforms dealt out otherwise."""
    given = sorted(os.sched_getaffinity(0))[:cores]
    words = [sys.executable, str(SAME), ",".join(map(str, given))]
    first = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    everywhere = subprocess.run(words[:2], capture_output=True, text=True, check=True).stdout
    assert first == everywhere
    cold, warm = first.split()[:6], first.split()[6:]
    assert cold == warm
