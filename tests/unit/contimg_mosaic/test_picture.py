"""The picture shows what is in the mosaic."""

import numpy as np
import pytest
from PIL import Image
from skies import sin_wcs

from contimg.radio.gaussians import Beam
from contimg_mosaic.picture import _averaged, _ticks, draw


def drawn(tmp_path, image, cell=20.0):
    wcs = sin_wcs(0.0, 33.0, cell, image.shape)
    draw(tmp_path / "p.png", image.astype(np.float32), wcs, Beam(80, 80), 1e-3, "a title")
    return np.asarray(Image.open(tmp_path / "p.png").convert("RGB")).astype(int)


def test_source_is_bright_where_it_is_and_blank_is_grey(tmp_path):
    rng = np.random.default_rng(1)
    image = rng.normal(0, 1e-3, (200, 300))
    image[140:146, 60:66] = 0.5
    image[:, 250:] = np.nan
    pixels = drawn(tmp_path, image)
    grey = (np.abs(pixels - 217) <= 2).all(axis=2)
    bright = (pixels[..., 0] > 240) & (pixels[..., 1] > 240) & (pixels[..., 2] < 200)
    dark = (pixels.sum(axis=2) < 200) & (pixels.sum(axis=2) > 0)
    inside = np.argwhere(dark)
    top, bottom = np.percentile(inside[:, 0], [1, 99])
    left = np.percentile(inside[:, 1], 1)
    place = np.argwhere(bright & (np.arange(pixels.shape[1]) < pixels.shape[1] * 0.8)[None, :]).mean(axis=0)
    height = bottom - top
    assert (bottom - place[0]) / height == pytest.approx(143 / 200, abs=0.04)  # north is up
    assert (place[1] - left) / (1.5 * height) == pytest.approx(63 / 300, abs=0.04)
    assert grey.sum() > 0.1 * dark.sum()


@pytest.mark.parametrize("shape", [(64, 900), (900, 64), (3000, 50)])
def test_strips_of_any_shape_are_drawn(tmp_path, shape):
    pixels = drawn(tmp_path, np.random.default_rng(2).normal(0, 1e-3, shape))
    assert max(pixels.shape) < 1600


def test_averaging_keeps_the_mean():
    image = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert _averaged(image, 2).tolist() == [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]]


def test_ticks_are_round_and_below_the_top():
    assert _ticks(0.7, 90.0) == [0.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0][: len(_ticks(0.7, 90.0))]
    assert 5.0 in _ticks(0.7, 90.0)
