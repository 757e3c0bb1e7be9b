"""Matching on the sphere against astropy, forced photometry against known pixels."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from skies import sin_wcs

from contimg.radio.gaussians import Beam
from contimg_crossmatch.catalogs import Catalog
from contimg_crossmatch.match import forced_photometry, inside, match
from contimg_crossmatch.sky import Sky


def catalog_at(ra, dec, flux=None):
    ra, dec = np.atleast_1d(np.asarray(ra, float)), np.atleast_1d(np.asarray(dec, float))
    names = np.array([f"s{i}" for i in range(ra.size)])
    return Catalog(np.full(ra.size, "c"), names, ra, dec, np.ones(ra.size) if flux is None else np.asarray(flux, float))


@pytest.mark.parametrize("dec", [0.0, 33.0, 89.6])
def test_same_as_astropy_also_over_ra_zero(dec):
    rng = np.random.default_rng(3)
    ra = rng.uniform(-0.3, 0.3, 300) % 360
    decs = dec + rng.uniform(-0.3, 0.3, 300)
    found_ra, found_dec = (ra[:200] + rng.normal(0, 5, 200) / 3600) % 360, decs[:200] + rng.normal(0, 5, 200) / 3600
    result = match(found_ra, found_dec, catalog_at(ra, decs), 10.0)
    index, apart, _ = SkyCoord(found_ra, found_dec, unit="deg").match_to_catalog_sky(SkyCoord(ra, decs, unit="deg"))
    near = apart < 10 * u.arcsec
    assert (result.index >= 0).tolist() == near.tolist()
    assert result.index[near].tolist() == index[near].tolist()
    np.testing.assert_allclose(result.separation_arcsec[near], apart[near].arcsec, atol=1e-5)


def test_radius_is_inclusive_to_a_milliarcsecond_and_no_further():
    result = match(np.array([10.0, 10.0]), np.array([0.0, 0.0]), catalog_at([10.0], [9.999 / 3600]), 10.0)
    assert result.index.tolist() == [0, 0]
    assert match(np.array([10.0]), np.array([0.0]), catalog_at([10.0], [10.001 / 3600]), 10.0).index.tolist() == [-1]


def test_nothing_matches_nothing():
    empty = catalog_at([], [])
    assert match(np.array([1.0]), np.array([1.0]), empty, 10.0).index.tolist() == [-1]
    assert match(np.empty(0), np.empty(0), catalog_at([1.0], [1.0]), 10.0).index.size == 0


def sky(image, rms=1.0):
    correlation = np.zeros((9, 9))
    correlation[4, 4] = 1.0
    wcs = sin_wcs(0.0, 30.0, 2.0, image.shape)
    noise = np.where(np.isfinite(image), rms, np.nan).astype(np.float32)
    return Sky(image.astype(np.float32), noise, None, correlation, wcs, Beam(12.0, 8.0, 40.0), 2.0, 1.4e9)


def test_forced_flux_is_the_flux_at_any_subpixel_position():
    y, x = np.mgrid[:60, :60]
    cxx, cyy, cxy = Beam(12.0, 8.0, 40.0).widths(2.0)
    dx, dy = x - 30.37, y - 28.81
    image = 5.0 * np.exp(-0.5 * (cxx * dx**2 + cyy * dy**2 + cxy * dx * dy))
    found = forced_photometry(sky(image), np.array([30.37]), np.array([28.81]))
    assert found.flux[0] == pytest.approx(5.0, rel=1e-6)


def test_forced_error_in_white_noise_is_one_over_root_sum_of_squares():
    rng = np.random.default_rng(1)
    image = rng.normal(size=(400, 400))
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(10.3, 390, 12), np.arange(10.6, 390, 12)))
    found = forced_photometry(sky(image), x, y)
    assert (found.flux / found.error).std() == pytest.approx(1.0, abs=0.08)


def test_positions_at_the_edge_use_what_is_there():
    image = np.ones((30, 30))
    image[:, :15] = np.nan
    found = forced_photometry(sky(image), np.array([15.0, 2.0]), np.array([0.0, 10.0]))
    assert np.isfinite(found.flux[0])
    assert np.isnan(found.flux[1])


def test_inside_keeps_covered_sources_of_this_hemisphere_only():
    image = np.ones((60, 60))
    image[:, :20] = np.nan
    west, east = 15 / 3600, -15 / 3600  # x grows to the west
    catalog = catalog_at([east, west, 180.0, 0.5], [30.0, 30.0, -30.0, 30.0])
    kept, x, y = inside(sky(image), catalog)
    assert kept.name.tolist() == ["s0", "s1"]
    kept, x, y = inside(sky(image), catalog_at([30 / 3600.0], [30.0]))
    assert len(kept) == 0
    assert x.size == y.size == 0
