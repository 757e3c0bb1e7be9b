"""The weighted sums against a slow reference: exact coordinates of every pixel, formulas written out."""

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import map_coordinates
from skies import Sky, make_tile, sin_wcs, write_fits

from contimg.errors import BadInput
from contimg_mosaic.beams import common_beam
from contimg_mosaic.combine import combine
from contimg_mosaic.grid import make_grid
from contimg_mosaic.tiles import open_tile

CELL, BEAM, SHAPE = 30.0, 120.0, (90, 110)


def tiles_at(base, centres, *, rms=(1e-3, 2e-3, 1.5e-3), blank=None):
    rng = np.random.default_rng(8)
    sky = Sky(np.array([0.1, 359.8, 0.35]), np.array([33.1, 32.95, 32.9]), np.array([1.0, 0.6, 0.3]))
    made = []
    for number, ra in enumerate(centres):
        wcs = sin_wcs(ra, 33.0, CELL, SHAPE)
        image, pb = make_tile(rng, sky, wcs, SHAPE, rms=rms[number], beam_arcsec=BEAM, pb_fwhm_deg=0.8)
        if blank is not None and number == 0:
            image[blank] = np.nan
        write_fits(base / f"i{number}.fits", image, wcs, BEAM)
        write_fits(base / f"p{number}.fits", pb, wcs, BEAM)
        made.append(open_tile(base / f"i{number}.fits", base / f"p{number}.fits", rms[number]))
    return made


def reference(tiles, grid, floor):
    """Every pixel with its exact coordinates; no bands, no coarse grid, double precision."""
    y, x = np.mgrid[: grid.shape[0], : grid.shape[1]]
    sky = grid.wcs.wcs_pix2world(x, y, 0)
    top, weight = np.zeros(grid.shape), np.zeros(grid.shape)
    for tile in tiles:
        tx, ty = tile.wcs.wcs_world2pix(*sky, 0)
        value = map_coordinates(tile.image().astype(float), [ty, tx], order=3, mode="mirror")
        gain = map_coordinates(tile.pb().astype(float), [ty, tx], order=1, mode="mirror")
        last_y, last_x = (size - 1 + 1e-6 for size in tile.shape)
        inside = (tx >= -1e-6) & (ty >= -1e-6) & (tx <= last_x) & (ty <= last_y) & (gain >= floor)
        top += np.where(inside, gain * value / tile.rms_jy**2, 0)
        weight += np.where(inside, gain**2 / tile.rms_jy**2, 0)
    return top, weight


@pytest.mark.parametrize("floor", [0.2, 0.5])
def test_same_as_the_formula_pixel_by_pixel(tmp_path, floor):
    tiles = tiles_at(tmp_path, (359.7, 0.1, 0.5))
    grid = make_grid(tiles)
    maps = combine(tiles, grid, common_beam(tiles, grid), corrected=True, pb_floor=floor)
    top, weight = reference(tiles, grid, floor)
    edge = np.abs(np.asarray(maps.weight) - weight) > 1e-3 * weight.max()
    assert edge.mean() < 2e-3  # a pixel at the floor may fall to either side
    keep = (weight > 0) & (maps.weight > 0) & ~edge
    np.testing.assert_allclose(maps.mosaic[keep], (top[keep] / weight[keep]), atol=2e-5)
    np.testing.assert_allclose(maps.noise[keep], 1 / np.sqrt(weight[keep]), rtol=1e-4)


def test_bands_of_rows_make_no_seams(tmp_path, monkeypatch):
    tiles = tiles_at(tmp_path, (359.7, 0.1))
    grid = make_grid(tiles)
    whole = combine(tiles, grid, common_beam(tiles, grid), corrected=True, pb_floor=0.2)
    monkeypatch.setattr("contimg_mosaic.combine.BAND", 7)
    banded = combine(tiles, grid, common_beam(tiles, grid), corrected=True, pb_floor=0.2)
    np.testing.assert_allclose(banded.mosaic, whole.mosaic, atol=1e-5)
    assert np.isnan(banded.mosaic).tolist() == np.isnan(whole.mosaic).tolist()


def test_blank_pixels_of_a_member_are_filled_by_the_others(tmp_path):
    blank = np.s_[40:50, 60:70]
    tiles = tiles_at(tmp_path, (0.1, 0.1), blank=blank)
    grid = make_grid(tiles)
    maps = combine(tiles, grid, common_beam(tiles, grid), corrected=False, pb_floor=0.2)
    only = tiles[1].image()
    np.testing.assert_allclose(maps.mosaic[blank], only[blank], atol=1e-6)
    np.testing.assert_allclose(maps.noise[blank], 2e-3, rtol=1e-5)
    assert maps.noise[10, 10] == pytest.approx(1 / np.sqrt(1e6 + 0.25e6), rel=1e-5)


def test_pixels_that_nobody_sees_are_blank_with_no_weight(tmp_path):
    tiles = tiles_at(tmp_path, (0.1,), blank=np.s_[0:20, :])
    maps = combine(tiles, make_grid(tiles), common_beam(tiles, make_grid(tiles)), corrected=False, pb_floor=0.2)
    assert np.isnan(maps.mosaic[:20]).all()
    assert np.isnan(maps.noise[:20]).all()
    assert (maps.weight[:20] == 0).all()
    assert np.isfinite(maps.mosaic[21:]).all()


def test_progress_counts_members(tmp_path):
    tiles, seen = tiles_at(tmp_path, (359.7, 0.1, 0.5)), []
    combine(
        tiles, make_grid(tiles), common_beam(tiles, make_grid(tiles)), corrected=True, pb_floor=0.2, report=seen.append
    )
    assert seen == [1, 2, 3]


def test_best_weights_beat_any_other(tmp_path):
    """Scatter over noise realisations: Σ pb·I/σ² / Σ pb²/σ² against the plain mean of corrected images."""
    wcs = sin_wcs(0.0, 33.0, CELL, SHAPE)
    at = (45, 30)
    rng = np.random.default_rng(3)
    gains, sigmas = np.array([0.9, 0.3]), np.array([1.0, 1.5])
    draws = rng.normal(size=(4000, 2)) * sigmas
    best = (draws * gains / sigmas**2).sum(1) / (gains**2 / sigmas**2).sum()
    plain = (draws / gains).mean(1)
    for number in range(2):
        write_fits(tmp_path / f"i{number}.fits", np.full(SHAPE, draws[0, number]), wcs, BEAM)
        write_fits(tmp_path / f"p{number}.fits", np.full(SHAPE, gains[number]), wcs, BEAM)
    tiles = [open_tile(tmp_path / f"i{n}.fits", tmp_path / f"p{n}.fits", sigmas[n]) for n in range(2)]
    maps = combine(tiles, make_grid(tiles), common_beam(tiles, make_grid(tiles)), corrected=True, pb_floor=0.2)
    assert maps.mosaic[at] == pytest.approx(best[0], rel=1e-5)
    assert maps.noise[at] == pytest.approx(best.std(), rel=0.05)
    assert best.std() < plain.std()


def test_cube_is_no_tile(tmp_path):
    wcs = sin_wcs(0.0, 33.0, CELL, SHAPE)
    write_fits(tmp_path / "i.fits", np.zeros(SHAPE), wcs, BEAM)
    with fits.open(tmp_path / "i.fits", mode="update") as hdus:
        hdus[0].data = np.zeros((1, 3, *SHAPE), np.float32)
    with pytest.raises(BadInput, match=r"i\.fits holds 3 planes"):
        open_tile(tmp_path / "i.fits", tmp_path / "i.fits", 1e-3).image()


def test_band_of_a_tile_is_that_of_its_frequency_axis(tmp_path):
    (tile,) = tiles_at(tmp_path, (0.1,))
    assert tile.band_hz == (1.405e9, 1.9e8)
    assert tile.cell_arcsec == pytest.approx(CELL)
    assert tile.centre == pytest.approx((0.1, 33.0))
