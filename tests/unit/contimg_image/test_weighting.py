from __future__ import annotations

import numpy as np
import pytest

from contimg_image.gridder import Gridder
from contimg_image.weighting import imaging_weights, thermal_rms

CELL = np.radians(8 / 3600)
SIZE = 128


def cells(vis):
    """Numbers of the uv cells, conjugate points folded onto one half."""
    scale = vis.freq_hz / 299792458.0 * SIZE * CELL
    uv = np.floor(vis.uvw_m[:, :2, None] * scale + 0.5).astype(int)
    fold = np.where((uv[:, 0] < 0) | ((uv[:, 0] == 0) & (uv[:, 1] < 0)), -1, 1)
    return uv[:, 0] * fold * 1000 + uv[:, 1] * fold


def test_natural_weights_are_those_of_the_data(small_vis):
    assert np.array_equal(imaging_weights(small_vis, SIZE, CELL, "natural"), small_vis.weight)


def test_uniform_weights_fill_every_cell_alike(small_vis):
    weight = imaging_weights(small_vis, SIZE, CELL, "uniform")
    _, number = np.unique(cells(small_vis), return_inverse=True)
    sums = np.bincount(number.ravel(), weight.ravel())
    # At half cells a point and its conjugate may be rounded to cells that are no conjugates.
    assert np.median(sums) == pytest.approx(1, rel=1e-5)
    assert (np.abs(sums - 1) < 1e-3).mean() > 0.95


def test_briggs_follows_its_formula(small_vis):
    weight = imaging_weights(small_vis, SIZE, CELL, "briggs", 0.5)
    scale = small_vis.freq_hz / 299792458.0 * SIZE * CELL
    u, v = (np.floor(small_vis.uvw_m[:, axis, None] * scale + 0.5).astype(int) for axis in (0, 1))
    density = np.zeros((SIZE, SIZE))
    np.add.at(density, (u, v), small_vis.weight)
    np.add.at(density, (-u, -v), small_vis.weight)
    factor = (5 * 10**-0.5) ** 2 / ((density**2).sum() / (2 * small_vis.weight.sum(dtype=float)))
    assert weight == pytest.approx(small_vis.weight / (1 + factor * density[u, v]), rel=1e-4)


def test_briggs_lies_between_natural_and_uniform(small_vis):
    def shares(weighting, robust=0.0):
        weight = imaging_weights(small_vis, SIZE, CELL, weighting, robust)
        return weight / weight.sum()

    assert shares("briggs", 2.0) == pytest.approx(shares("natural"), rel=0.1)
    assert shares("briggs", -2.0) == pytest.approx(shares("uniform"), rel=0.05)


@pytest.mark.parametrize("weighting", ["natural", "uniform"])
def test_thermal_rms_is_the_noise_of_an_image(small_vis, weighting):
    rng = np.random.default_rng(2)
    weight = imaging_weights(small_vis, SIZE, CELL, weighting)
    gridder = Gridder(small_vis.uvw_m, small_vis.freq_hz, weight, SIZE, CELL)
    gridder.psf()
    sigma = 1 / np.sqrt(small_vis.weight)
    parts = [(rng.normal(size=sigma.shape) * sigma) for _ in range(2)]
    image = gridder.dirty((parts[0] + 1j * parts[1]).astype(np.complex64))
    assert image.std() == pytest.approx(thermal_rms(small_vis.weight, weight), rel=0.06)
