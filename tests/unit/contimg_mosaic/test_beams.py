"""Members with beams that differ on the mosaic's sky, and what becomes of a source that all of them see."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skies import FWHM, beam_noise, sin_wcs, write_fits

from contimg.radio.gaussians import Beam, fit_gaussian
from contimg_mosaic.beams import common_beam, convolved, smallest_cover
from contimg_mosaic.combine import combine
from contimg_mosaic.grid import make_grid
from contimg_mosaic.tiles import open_tile

CELL, SHAPE = 6.0, (300, 340)
ellipses = st.builds(Beam, st.floats(30, 60), st.floats(10, 30), st.floats(0, 180))


def drawn(beam, shape, x0, y0):
    """The beam written out: x to the west, position angle from north through east."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    east, north = -(x - x0), y - y0
    angle = np.radians(beam.pa_deg)
    along = east * np.sin(angle) + north * np.cos(angle)
    across = east * np.cos(angle) - north * np.sin(angle)
    squares = (along / beam.major_arcsec) ** 2 + (across / beam.minor_arcsec) ** 2
    return np.exp(-0.5 * squares * (FWHM * CELL) ** 2)


def widest(moments, angle):
    direction = np.array([np.cos(angle), np.sin(angle)])
    return direction @ moments @ direction


def tile_at(base, number, ra, beam, dec=70.0, source=None, rms=0.0):
    wcs = sin_wcs(ra, dec, CELL, SHAPE)
    image = np.zeros(SHAPE)
    if source is not None:
        x, y = wcs.wcs_world2pix(*source[:2], 0)
        image += source[2] * drawn(beam, SHAPE, float(x), float(y))
    if rms:
        image += beam_noise(np.random.default_rng(number), SHAPE, rms, 4.0)
    write_fits(base / f"i{number}.fits", image, wcs, 1.0)
    write_fits(base / f"p{number}.fits", np.ones(SHAPE), wcs, 1.0)
    return replace(open_tile(base / f"i{number}.fits", base / f"p{number}.fits", rms or 1e-3), beam=beam)


@settings(max_examples=50, deadline=None)
@given(st.lists(ellipses, min_size=1, max_size=10))
def test_the_cover_is_wider_than_every_beam_and_touches_one(beams):
    moments = [beam.moments(3.0) for beam in beams]
    cover = smallest_cover(moments)
    margins = [
        widest(cover, angle) / max(widest(each, angle) for each in moments) for angle in np.linspace(0, np.pi, 777)
    ]
    assert 1 - 2e-4 < min(margins) < 1 + 1e-3


def test_one_beam_is_its_own_cover():
    moments = Beam(45, 16, 104).moments(3.0)
    np.testing.assert_allclose(smallest_cover([moments]), moments, rtol=1e-4)


def test_tiles_of_one_pointing_keep_their_beam_and_pixels(tmp_path):
    tiles = [tile_at(tmp_path, k, 10.0, Beam(45, 16, 104), rms=1e-3) for k in range(2)]
    common = common_beam(tiles, make_grid(tiles))
    assert common.difference < 1e-6
    assert (common.beam.major_arcsec, common.beam.minor_arcsec) == pytest.approx((45, 16), rel=1e-5)
    member = convolved(tiles[0], common.growths[0], common.scales[0])
    assert member.rms_jy == 1e-3
    np.testing.assert_array_equal(member.image, tiles[0].image())


def test_north_turns_along_a_strip_and_the_beams_with_it(tmp_path):
    """Two phase centres that are 0.5 deg of right ascension apart at declination 70 differ by 0.47 deg in angle."""
    tiles = [tile_at(tmp_path, k, ra, Beam(45, 16, 104)) for k, ra in enumerate((9.75, 10.25))]
    common = common_beam(tiles, make_grid(tiles))
    turned = np.radians(0.5 * np.sin(np.radians(70.0)))
    assert common.difference == pytest.approx(turned * (45 / 16 - 16 / 45) / 2, rel=0.05)
    assert 16 < common.beam.minor_arcsec < 16.2
    assert common.beam.pa_deg == pytest.approx(104, abs=0.3)


def test_a_source_keeps_its_flux_and_has_the_beam_of_the_mosaic(tmp_path):
    source = (10.0, 70.02, 2.0)
    beams = (Beam(45, 20, 100), Beam(47, 19, 115), Beam(44, 21, 90))
    centres = zip((9.9, 10.0, 10.1), beams, strict=True)
    tiles = [tile_at(tmp_path, k, ra, beam, source=source) for k, (ra, beam) in enumerate(centres)]
    grid = make_grid(tiles)
    common = common_beam(tiles, grid)
    mosaic = combine(tiles, grid, common, corrected=True, pb_floor=0.2).mosaic
    x, y = (float(value) for value in grid.wcs.wcs_world2pix(*source[:2], 0))
    cut = mosaic[int(y) - 15 : int(y) + 16, int(x) - 15 : int(x) + 16].astype(float)
    start = (2.0, x - int(x) + 15, y - int(y) + 15)
    fit = fit_gaussian(cut, start, common.beam.widths(CELL), 1e-3, radius=8.0)
    assert fit.amplitude == pytest.approx(2.0, rel=2e-3)
    assert fit.area_ratio(common.beam, CELL)[0] == pytest.approx(1.0, abs=3e-3)
    assert fit.shape(CELL).pa_deg == pytest.approx(common.beam.pa_deg, abs=0.5)
    assert fit.position == pytest.approx(start[1:], abs=0.02)


def test_the_noise_map_is_that_of_the_convolved_members(tmp_path):
    beams = (Beam(45, 24, 100), Beam(45, 24, 10))
    tiles = [tile_at(tmp_path, k, 10.0, beam, rms=1e-3) for k, beam in enumerate(beams)]
    grid = make_grid(tiles)
    maps = combine(tiles, grid, common_beam(tiles, grid), corrected=False, pb_floor=0.2)
    inner = np.s_[30:-30, 30:-30]
    assert np.std(maps.mosaic[inner]) == pytest.approx(np.median(maps.noise[inner]), rel=0.1)
    assert np.isnan(maps.mosaic[0, 0]), "the convolution reaches over the edge there"


def test_pixels_beside_a_hole_are_left_out(tmp_path):
    tile = tile_at(tmp_path, 0, 10.0, Beam(45, 24, 100), rms=1e-3)
    blank = tile.image()
    blank[100:110, 100:110] = np.nan
    write_fits(tmp_path / "i0.fits", blank, tile.wcs, 1.0)
    member = convolved(tile, np.diag([4.0, 1.0]), 1.2)
    assert member.valid[150, 150] == 1
    assert member.valid[105, 112] == member.valid[105, 115] == 0
    assert np.isfinite(member.image).all()
