from __future__ import annotations

import numpy as np
from matplotlib.image import imread

from contimg.radio.gaussians import Beam
from contimg_image.header import celestial, image_header
from contimg_image.params import ImageParams
from contimg_image.quicklook import _ellipse, write_picture


def drawn(tmp_path, small_recording, small_vis, image, name):
    params = ImageParams(cell_arcsec=15, size=100)
    beam = Beam(54.0, 48.0, 30.0)
    wcs = celestial(image_header(small_recording, small_vis, params, beam))
    write_picture(tmp_path / name, image, wcs, beam, 1e-3, "a field")
    return imread(tmp_path / name)


def test_a_source_is_seen_where_it_is(tmp_path, small_recording, small_vis):
    image = np.zeros((100, 100), np.float32)
    image[70:76, 20:26] = 0.05
    picture = drawn(tmp_path, small_recording, small_vis, image, "a.png")
    assert picture.shape[0] > 800
    empty = drawn(tmp_path, small_recording, small_vis, image * 0, "b.png")
    bright = (picture - empty)[..., :3].sum(axis=2)
    y, x = np.nonzero(bright > 0.5)
    assert len(y) > 500
    assert y.mean() < picture.shape[0] / 2  # up: north
    assert x.mean() < picture.shape[1] / 2  # left: east


def test_scale_is_in_units_of_the_noise(tmp_path, small_recording, small_vis):
    full = drawn(tmp_path, small_recording, small_vis, np.full((100, 100), 0.04, np.float32), "a.png")
    over = drawn(tmp_path, small_recording, small_vis, np.full((100, 100), 4.0, np.float32), "b.png")
    assert np.array_equal(full, over)


def test_ellipse_leans_to_the_east():
    shape = _ellipse(1000, Beam(100.0, 50.0, 30.0), 1.0)
    assert (shape.height, shape.width, shape.angle) == (100.0, 50.0, 30.0)
    ends = shape.get_path().vertices  # unit circle; its top is the northern end of the major axis
    assert ends[:, 1].max() == 1
    small = _ellipse(4800, Beam(45.0, 45.0, 0.0), 3.0)
    assert small.height == small.width > 45.0 / 3
