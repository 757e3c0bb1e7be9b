"""The pixel grid: against exact coordinates, over RA 0, at high declination."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from skies import sin_wcs

from contimg.radio.gaussians import Beam
from contimg_mosaic.grid import centre_of, footprint, make_grid, tile_pixels
from contimg_mosaic.tiles import Tile


def tile_at(ra, dec, cell=60.0, shape=(100, 120)):
    wcs = sin_wcs(ra, dec, cell, shape)
    return Tile(Path("i"), Path("p"), fits.Header(), wcs, shape, Beam(120, 120), 1e-3)


@pytest.mark.parametrize("dec", [-30.0, 33.0, 75.0])
def test_interpolated_coordinates_are_exact(dec):
    tiles = [tile_at(ra % 360, dec) for ra in (358.5, 359.8, 1.1)]
    grid = make_grid(tiles)
    for tile in tiles:
        area = footprint(grid, tile)
        y, x = tile_pixels(grid, tile, area.rows, area.columns)
        gy, gx = np.mgrid[area.rows, area.columns]
        exact = tile.wcs.wcs_world2pix(*grid.wcs.wcs_pix2world(gx, gy, 0), 0)
        assert np.abs(x - exact[0]).max() < 1e-5
        assert np.abs(y - exact[1]).max() < 1e-5


def test_every_corner_of_every_tile_lies_inside():
    tiles = [tile_at(ra % 360, 33.0) for ra in np.arange(355.0, 366.0, 1.3)]
    grid = make_grid(tiles)
    assert grid.shape[1] < 1.1 * (11.0 * np.cos(np.radians(33.0)) * 60 + 120)
    for tile in tiles:
        ny, nx = tile.shape
        sky = tile.wcs.wcs_pix2world([0, nx - 1, 0, nx - 1], [0, 0, ny - 1, ny - 1], 0)
        x, y = grid.wcs.wcs_world2pix(*sky, 0)
        assert x.min() > -0.5
        assert y.min() > -0.5
        assert x.max() < grid.shape[1] - 0.5
        assert y.max() < grid.shape[0] - 0.5


def test_tiles_of_one_grid_keep_it():
    tiles = [tile_at(10.0, 33.0), tile_at(10.0, 33.0)]
    tiles[1].wcs.wcs.dateobs = "2026-01-25T22:05:22"
    grid = make_grid(tiles)
    assert grid.shape == tiles[0].shape
    y, x = tile_pixels(grid, tiles[1], slice(3, 5), slice(7, 9))
    assert y.tolist() == [[3, 3], [4, 4]]
    assert x.tolist() == [[7, 8], [7, 8]]
    assert make_grid(tiles, cell_arcsec=30.0).shape[0] == pytest.approx(200, abs=4)


def test_centre_of_a_strip_over_zero():
    ra, dec = centre_of([(359.0, 30.0), (1.0, 30.0)])
    assert ra == pytest.approx(0.0, abs=1e-9) or ra == pytest.approx(360.0, abs=1e-9)
    assert SkyCoord(ra, dec, unit="deg").separation(SkyCoord(0, 30, unit="deg")) < 0.01 * u.deg


def test_solid_angle_adds_up_to_the_sphere():
    """A zenithal cap of radius r covers 2 pi (1 - cos r)."""
    tile = tile_at(0.0, 0.0, cell=900.0, shape=(481, 481))
    grid = make_grid([tile])
    angle = grid.solid_angle(slice(0, 481), slice(0, 481))
    y, x = np.mgrid[:481, :481] - 240.0
    cap = np.hypot(x, y) * np.radians(0.25) < np.sin(np.radians(40.0))
    truth = 2 * np.pi * (1 - np.cos(np.radians(40.0))) * np.degrees(1.0) ** 2
    assert angle[cap].sum() == pytest.approx(truth, rel=2e-3)
