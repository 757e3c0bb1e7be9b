"""Laws of mosaics that hold for any images, tried on many."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from skies import sin_wcs, tile_pb

from contimg.models.quality import Verdict
from contimg.radio.gaussians import Beam
from contimg_mosaic.beams import common_beam
from contimg_mosaic.combine import combine
from contimg_mosaic.grid import centre_of, make_grid
from contimg_mosaic.measure import Brightest, area_deg2, brightest, mad_rms
from contimg_mosaic.params import Method, MosaicParams
from contimg_mosaic.stage import _figures, _Made, choose_method
from contimg_mosaic.tiles import Tile
from contimg_mosaic.write import Cards, header

CELL, SHAPE = 60.0, (40, 46)
FEW = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Held(Tile):
    """A tile whose pixels are in memory."""

    pixels: np.ndarray | None = None
    response: np.ndarray | None = None

    def image(self):
        return self.pixels

    def pb(self):
        return self.response


def tile(pixels, ra=10.0, rms=1e-3, fwhm=0.8, beam=None, cards=None):
    wcs = sin_wcs(ra, 33.0, CELL, SHAPE)
    response = np.ones(SHAPE) if fwhm is None else tile_pb(wcs, SHAPE, fwhm)
    paths = Path("i.fits"), Path("p.fits")
    known, flat = fits.Header(cards or {}), response.astype(np.float32)
    beam = beam or Beam(240, 240)
    return Held(*paths, known, wcs, SHAPE, beam, rms, np.asarray(pixels, np.float32), flat)


def pixels_of(seed):
    return np.random.default_rng(seed).normal(size=SHAPE)


def strip(seed, centres=(9.8, 10.0, 10.3), **more):
    return [tile(pixels_of(seed + k), ra, 1e-3 * (1 + k), **more) for k, ra in enumerate(centres)]


def made_of(tiles, corrected=True, floor=0.2):
    return combine(tiles, make_grid(tiles), common_beam(tiles, make_grid(tiles)), corrected=corrected, pb_floor=floor)


def same(one, other, scale=1.0, **tolerance):
    np.testing.assert_allclose(one, scale * np.asarray(other), equal_nan=True, **tolerance)


@given(seeds, st.booleans())
@FEW
def test_mosaic_of_one_image_with_a_beam_of_one_is_the_image(seed, corrected):
    only = tile(pixels_of(seed), fwhm=None)
    maps = made_of([only], corrected)
    same(maps.mosaic, only.image(), atol=2e-6)
    same(maps.noise, np.full(SHAPE, only.rms_jy), rtol=1e-5)


@given(seeds)
@FEW
def test_one_corrected_image_is_the_image_over_its_beam(seed):
    only = tile(pixels_of(seed))
    maps = made_of([only])
    use = only.pb() >= 0.2
    same(maps.mosaic[use], (only.image() / only.pb())[use], atol=5e-6)
    assert np.isnan(maps.mosaic[~use]).all()
    same(maps.noise[use], (only.rms_jy / only.pb())[use], rtol=1e-5)


@given(seeds, st.permutations(range(3)), st.booleans())
@FEW
def test_order_of_the_members_does_not_matter(seed, order, corrected):
    centres = (9.8, 10.0, 10.3) if corrected else (10.0, 10.0, 10.0)
    tiles = strip(seed, centres)
    grid = make_grid(tiles)
    one = combine(tiles, grid, common_beam(tiles, grid), corrected=corrected, pb_floor=0.2)
    other = combine(
        [tiles[k] for k in order], grid, common_beam([tiles[k] for k in order], grid), corrected=corrected, pb_floor=0.2
    )
    same(one.mosaic, other.mosaic, rtol=1e-4, atol=1e-5)
    same(one.weight, other.weight, rtol=1e-5)


@given(seeds, st.floats(1e-3, 1e3))
@FEW
def test_another_unit_of_flux_scales_mosaic_and_noise_alike(seed, k):
    tiles = strip(seed)
    scaled = [tile(k * t.image(), t.centre[0], k * t.rms_jy) for t in tiles]
    one, other = made_of(tiles), made_of(scaled)
    same(other.mosaic, one.mosaic, k, rtol=1e-3, atol=1e-5 * k)
    same(other.noise, one.noise, k, rtol=1e-4)
    same(other.weight, one.weight, k**-2, rtol=1e-4)


@given(seeds, st.floats(0.1, 10))
@FEW
def test_common_factor_of_the_noise_leaves_the_mosaic(seed, k):
    tiles = strip(seed)
    louder = [tile(t.image(), t.centre[0], k * t.rms_jy) for t in tiles]
    same(made_of(louder).mosaic, made_of(tiles).mosaic, rtol=1e-3, atol=1e-5)


@given(seeds, st.integers(1, 9), st.booleans())
@FEW
def test_noise_of_n_equal_images_falls_with_the_root_of_n(seed, n, corrected):
    one = tile(pixels_of(seed))
    alone, many = made_of([one], corrected), made_of([one] * n, corrected)
    same(many.noise, alone.noise, n**-0.5, rtol=1e-5)
    same(many.mosaic, alone.mosaic, rtol=1e-5, atol=1e-6)


@given(seeds)
@FEW
def test_mosaic_of_a_sum_is_the_sum_of_the_mosaics(seed):
    first, second = strip(seed), strip(seed + 100)
    both = [tile(a.image() + b.image(), a.centre[0], a.rms_jy) for a, b in zip(first, second, strict=True)]
    same(made_of(both).mosaic, made_of(first).mosaic + made_of(second).mosaic, rtol=1e-3, atol=2e-5)


@given(st.floats(0.01, 100), st.floats(0.2, 0.7))
@FEW
def test_an_even_sky_comes_back_even_whatever_the_beam(flux, floor):
    tiles = [tile(flux * tile_pb(sin_wcs(10.0, 33.0, CELL, SHAPE), SHAPE, 0.8), rms=r) for r in (1e-3, 3e-3)]
    maps = made_of(tiles, floor=floor)
    use = np.isfinite(maps.mosaic)
    same(maps.mosaic[use], np.full(use.sum(), flux), rtol=1e-4)
    np.testing.assert_array_equal(use, tiles[0].pb() >= floor)


@given(seeds)
@FEW
def test_noise_is_that_of_the_weight_and_both_are_blank_together(seed):
    maps = made_of(strip(seed))
    seen = maps.weight > 0
    same(maps.noise[seen], maps.weight[seen] ** -0.5, rtol=1e-5)
    np.testing.assert_array_equal(np.isfinite(maps.mosaic), seen)
    np.testing.assert_array_equal(np.isfinite(maps.noise), seen)


def test_a_blank_pixel_is_blank_alone_and_its_neighbours_have_numbers():
    image = pixels_of(1)
    image[20, 30] = np.nan
    maps = made_of([tile(image, fwhm=None)])
    assert np.argwhere(np.isnan(maps.mosaic)).tolist() == [[20, 30]]
    assert maps.weight[20, 30] == 0


def test_a_member_without_any_value_adds_nothing():
    good, blank = tile(pixels_of(1)), tile(np.full(SHAPE, np.nan))
    same(made_of([good, blank]).mosaic, made_of([good]).mosaic, rtol=1e-6)
    same(made_of([good, blank]).noise, made_of([good]).noise, rtol=1e-6)


def test_mean_beam_of_a_coadd_is_weighted_like_its_images():
    tiles = [tile(pixels_of(1), rms=1.0, fwhm=0.8), tile(pixels_of(2), rms=2.0, fwhm=0.5)]
    same(made_of(tiles, corrected=False).pb, (4 * tiles[0].pb() + tiles[1].pb()) / 5, rtol=1e-5)


@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(-60, 60)), min_size=1, max_size=6), st.floats(0, 360))
@FEW
def test_middle_turns_with_the_sky_and_forgets_the_order(places, turn):
    ra, dec = centre_of([(a % 360, d) for a, d in places])
    turned, same_dec = centre_of([((a + turn) % 360, d) for a, d in reversed(places)])
    assert 0 <= ra <= 360
    assert (turned - ra - turn + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)
    assert same_dec == pytest.approx(dec, abs=1e-8)


@given(st.floats(0, 360, exclude_max=True))
@FEW
def test_covered_area_does_not_depend_on_right_ascension_or_bands(ra):
    only = tile(pixels_of(1), ra, fwhm=None)
    maps, grid = made_of([only]), make_grid([only])
    area = area_deg2(maps, grid)
    assert area == pytest.approx(np.prod(SHAPE) * (CELL / 3600) ** 2, rel=1e-3)
    assert area_deg2(maps, grid, band=7) == pytest.approx(area, rel=1e-12)


@given(seeds, st.floats(1e-3, 1e3), st.floats(-100, 100))
@FEW
def test_mad_scales_and_forgets_offset_and_blanks(seed, k, offset):
    values = pixels_of(seed).astype(np.float32)
    with_gaps = np.append(k * (values + offset), [np.nan, np.inf]).astype(np.float32)
    assert mad_rms(with_gaps) == pytest.approx(k * mad_rms(values), rel=2e-3)


@pytest.mark.parametrize("ra", [0.0, 359.99, 180.0])
def test_place_of_the_brightest_is_within_the_circle(ra):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    sigma = 240 / CELL / 2.3548
    image = np.exp(-((x - 15.3) ** 2 + (y - 22.8) ** 2) / (2 * sigma**2))
    only = tile(image, ra, fwhm=None)
    grid = make_grid([only])
    found = brightest(made_of([only]), grid.wcs, only.beam, CELL)
    wanted = only.wcs.wcs_pix2world(15.3, 22.8, 0)
    assert 0 <= found.ra_deg < 360
    assert (found.ra_deg - wanted[0] + 180) % 360 - 180 == pytest.approx(0, abs=1e-4)
    assert found.dec_deg == pytest.approx(float(wanted[1]), abs=1e-4)
    assert found.peak_jy == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("method", "apart", "limit", "wanted"),
    [
        ("auto", 0.0, 0.0, Method.COADD),
        ("auto", 0.03, 0.05, Method.COADD),
        ("auto", 0.06, 0.05, Method.PBWEIGHT),
        ("auto", 0.06, 0.1, Method.COADD),
        ("coadd", 0.3, 0.05, Method.COADD),
        ("pbweight", 0.0, 0.05, Method.PBWEIGHT),
    ],
)
def test_method_follows_the_distance_in_widths_of_the_beam(method, apart, limit, wanted):
    fwhm = 0.4
    centres = 10.0, 10.0 + apart * fwhm / np.cos(np.radians(33))
    tiles = [tile(pixels_of(1), ra, fwhm=fwhm) for ra in centres]
    assert choose_method(tiles, MosaicParams(method=method, one_pointing_fwhm=limit)) is wanted


def figures_of(count=2, expected=2, beams=None, source=None, **params):
    tiles = [tile(pixels_of(k), beam=beam) for k, beam in enumerate(beams or [None] * count)]
    grid, maps = make_grid(tiles), made_of(tiles, corrected=False)
    made = _Made(tiles, Method.COADD, grid, common_beam(tiles, grid), maps, source, expected)
    return {f.name.removeprefix("mosaic."): f for f in _figures(made, MosaicParams(**params))}


@pytest.mark.parametrize(
    ("count", "expected", "fraction", "wanted"),
    [
        (4, 4, 0.5, Verdict.PASS),
        (3, 4, 0.5, Verdict.DEGRADED),
        (2, 4, 0.5, Verdict.DEGRADED),
        (1, 4, 0.5, Verdict.FAILED),
        (3, 4, 1.0, Verdict.FAILED),
        (1, 4, 0.0, Verdict.DEGRADED),
    ],
)
def test_gate_of_the_members(count, expected, fraction, wanted):
    found = figures_of(count, expected, min_member_fraction=fraction)["members"]
    assert (found.value, found.verdict) == (count, wanted)


@pytest.mark.parametrize(("second", "wanted"), [(240 * 1.999, Verdict.PASS), (240 * 2.001, Verdict.FAILED)])
def test_gate_of_the_beams(second, wanted):
    found = figures_of(beams=[Beam(240, 240), Beam(second, 240)])["beam_difference"]
    assert found.verdict is wanted
    assert found.value == pytest.approx(1.0, abs=2e-3)


def test_beams_turned_against_each_other_differ():
    assert figures_of(beams=[Beam(260, 240, 0), Beam(260, 240, 90)])["beam_difference"].value > 0.08
    assert figures_of(beams=[Beam(260, 240, 0), Beam(260, 240, 180)])["beam_difference"].value < 1e-6


def test_figures_without_limits_are_not_judged_and_have_their_units():
    found = figures_of(source=Brightest(0.5, 10.0, 33.0, 240, 240))
    units = {"peak": "Jy/beam", "peak_ra": "deg", "peak_dec": "deg", "rms": "Jy/beam", "noise_min": "Jy/beam"}
    units |= {"noise_ratio": "", "area": "deg2"}
    assert {name: found[name].unit for name in units} == units
    assert not any(found[name].limit for name in units)
    assert found["peak"].value == 0.5
    assert figures_of()["peak"].value is None


def cards(**more):
    plain = {"begin": "2026-01-25T22:00:00", "end": "2026-01-25T23:00:00", "frequency_hz": 1.4e9, "bandwidth_hz": 2e8}
    rest = {"group": "g1", "method": "coadd", "recipe": "r", "corrected": False, "pb_floor": 0.3}
    return Cards(**(plain | rest | {"verdict": Verdict.PASS} | more))


def test_cards_of_members_are_carried_over_or_called_mixed():
    tiles = [tile(pixels_of(1), cards={"CALSEL": "a", "OBJECT": name}) for name in ("one", "two")]
    made = header(tiles[0].wcs, tiles[0].beam, tiles, cards())
    assert (made["CALSEL"], made["OBJECT"], made["NMEMBERS"]) == ("a", "mixed", 2)
    assert "TELESCOP" not in made
    assert len(made["HISTORY"]) == 2


def test_cards_that_mean_nothing_are_left_out():
    one = [tile(pixels_of(1))]
    plain = header(one[0].wcs, one[0].beam, one, cards(frequency_hz=float("nan"), bandwidth_hz=float("nan")))
    assert not {"FREQ", "BANDWID", "PBFLOOR"} & set(plain)
    assert header(one[0].wcs, one[0].beam, one, cards(corrected=True))["PBFLOOR"] == 0.3
    assert plain["MJD-AVG"] == pytest.approx(61065 + 22.5 / 24, abs=1e-9)
