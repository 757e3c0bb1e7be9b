"""Laws of matching, photometry and fitting that hold for any sky, tried on many."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skies import beam_noise, sin_wcs

from contimg.models.quality import Verdict
from contimg.radio.gaussians import Beam, autocorrelation
from contimg_crossmatch.catalogs import Catalog, join, unit_vectors
from contimg_crossmatch.finder import Flag, Source, _near, find_sources
from contimg_crossmatch.match import Matches, forced_photometry, inside, match
from contimg_crossmatch.params import CrossmatchParams
from contimg_crossmatch.sky import Sky
from contimg_crossmatch.stage import _figures, _median
from contimg_crossmatch.tables import _names

FEW = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**32 - 1)
ARCSEC = 1 / 3600


def catalog_at(ra, dec, flux=1.0):
    names = np.array([f"s{k}" for k in range(len(ra))])
    return Catalog(np.full(len(ra), "c"), names, np.asarray(ra), np.asarray(dec), np.full(len(ra), flux))


def crowd(seed, count=40, dec=33.0, width=0.02):
    """Places around right ascension 0, some of them close together."""
    rng = np.random.default_rng(seed)
    ra = rng.uniform(-width, width, count) / np.cos(np.radians(dec))
    return ra % 360, dec + rng.uniform(-width, width, count)


def apart(ra1, dec1, ra2, dec2):
    """Separations of all pairs in arcsec by haversines: another formula than that of the product."""
    ra1, dec1, ra2, dec2 = (np.radians(each) for each in (ra1[:, None], dec1[:, None], ra2, dec2))
    half = np.sin((dec1 - dec2) / 2) ** 2 + np.cos(dec1) * np.cos(dec2) * np.sin((ra1 - ra2) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(half))) * 3600


@given(seeds, st.sampled_from([-89.0, 0.0, 33.0, 88.0]), st.floats(1, 60))
@FEW
def test_tree_finds_what_comparing_all_pairs_finds(seed, dec, radius):
    ra, decs = crowd(seed, 30, dec)
    other_ra, other_dec = crowd(seed + 1, 50, dec)
    found = match(ra, decs, catalog_at(other_ra, other_dec), radius)
    table = apart(ra, decs, other_ra, other_dec)
    best = table.min(axis=1)
    clear = np.abs(best - radius) > 1e-6
    np.testing.assert_array_equal((found.index >= 0)[clear], (best < radius)[clear])
    hit = found.index >= 0
    np.testing.assert_allclose(found.separation_arcsec[hit], best[hit], atol=1e-5)
    np.testing.assert_array_equal(found.index[hit], table.argmin(axis=1)[hit])
    assert np.isnan(found.separation_arcsec[~hit]).all()


@given(seeds)
@FEW
def test_mutual_nearest_pairs_are_the_same_from_both_sides(seed):
    here, there = crowd(seed, 25), crowd(seed + 1, 25)
    forth = match(*here, catalog_at(*there), 30.0)
    back = match(*there, catalog_at(*here), 30.0)
    pairs = {(k, int(i)) for k, i in enumerate(forth.index) if i >= 0 and back.index[i] == k}
    mirrored = {(int(i), k) for k, i in enumerate(back.index) if i >= 0 and forth.index[i] == k}
    assert pairs == mirrored
    for k, i in pairs:
        assert forth.separation_arcsec[k] == pytest.approx(back.separation_arcsec[i], abs=1e-6)


@given(seeds, st.floats(0, 360))
@FEW
def test_turning_the_sky_changes_no_match(seed, turn):
    here, there = crowd(seed, 25), crowd(seed + 1, 25)
    one = match(*here, catalog_at(*there), 30.0)
    turned = [((ra + turn) % 360, dec) for ra, dec in (here, there)]
    other = match(*turned[0], catalog_at(*turned[1]), 30.0)
    near = np.abs(np.nan_to_num(one.separation_arcsec, nan=30.0) - 30) < 1e-4
    np.testing.assert_array_equal(one.index[~near], other.index[~near])


@given(seeds, st.floats(1, 30))
@FEW
def test_larger_radius_keeps_every_match(seed, radius):
    here, there = crowd(seed, 25), crowd(seed + 1, 25)
    small, large = (match(*here, catalog_at(*there), r) for r in (radius, 2 * radius))
    hit = small.index >= 0
    np.testing.assert_array_equal(small.index[hit], large.index[hit])


def test_every_source_matches_itself_at_zero():
    ra, dec = crowd(1)
    found = match(ra, dec, catalog_at(ra, dec), 1e-3)
    assert found.index.tolist() == list(range(len(ra)))
    assert found.separation_arcsec.max() < 1e-6


@given(st.floats(0, 360), st.floats(-90, 90))
@FEW
def test_unit_vectors_have_length_one_and_their_declination(ra, dec):
    x, y, z = unit_vectors(np.array(ra), np.array(dec))
    assert x**2 + y**2 + z**2 == pytest.approx(1)
    assert np.degrees(np.arcsin(np.clip(z, -1, 1))) == pytest.approx(dec, abs=1e-5)


def test_joined_catalogs_are_as_long_as_their_parts_and_stay_in_order():
    parts = [catalog_at([1.0], [2.0]), catalog_at([], []), catalog_at([3.0, 4.0], [5.0, 6.0])]
    whole = join(parts)
    assert len(whole) == 3
    assert whole.ra_deg.tolist() == [1.0, 3.0, 4.0]


@given(st.lists(st.tuples(st.floats(0, 359.999), st.floats(-89.9, 89.9)), min_size=1, max_size=11))
@FEW
def test_names_are_unique_and_of_one_form(places):
    ra, dec = (np.array(each) for each in zip(*places, strict=True))
    names = _names(ra, dec)
    assert len(set(names)) == len(names)
    assert all(name[0] == "J" and name[10] in "+-" for name in names)


SIZE, CELL, WIDTH, RMS = 72, 2.0, 6.0, 1e-3
BEAM = Beam(WIDTH * CELL, WIDTH * CELL)
NOISE = beam_noise(np.random.default_rng(3), (256, 256), 1.0, WIDTH)
CORRELATION = autocorrelation(NOISE, 13)


def sky_of(sources=(), seed=None, rms=RMS, ra=0.0):
    """An image of round sources (x, y, peak), with noise of the beam's shape where there is a seed."""
    y, x = np.mgrid[:SIZE, :SIZE]
    image = np.zeros((SIZE, SIZE)) if seed is None else rms * NOISE[seed : seed + SIZE, seed : seed + SIZE]
    for x0, y0, peak in sources:
        image = image + peak * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * (WIDTH / 2.354820045) ** 2))
    level = np.full((SIZE, SIZE), rms, np.float32)
    wcs = sin_wcs(ra, 30, CELL, (SIZE, SIZE))
    return Sky(image.astype(np.float32), level, None, CORRELATION, wcs, BEAM, CELL, 1.4e9)


@given(st.floats(20, 50), st.floats(20, 50), st.floats(0.02, 10))
@FEW
def test_source_without_noise_is_measured_exactly(x, y, peak):
    (found,) = find_sources(sky_of([(x, y, peak)]), CrossmatchParams())
    assert (found.x, found.y) == pytest.approx((x, y), abs=1e-3)
    assert found.peak == pytest.approx(peak, rel=1e-4)
    assert found.flux == pytest.approx(peak, rel=1e-3)
    assert (found.major, found.minor) == pytest.approx((BEAM.major_arcsec,) * 2, rel=1e-3)
    assert found.flags == Flag(0)


@given(st.floats(0.02, 1), st.floats(2, 50))
@FEW
def test_errors_of_position_fall_with_signal_to_noise_those_of_flux_do_not(peak, k):
    """Condon 1997: position errors go as rms / peak, the error of the peak is that of the noise."""
    (faint,), (bright,) = (find_sources(sky_of([(35.3, 36.2, s)]), CrossmatchParams()) for s in (peak, k * peak))
    assert faint.x_err / bright.x_err == pytest.approx(k, rel=1e-2)
    assert faint.y_err / bright.y_err == pytest.approx(k, rel=1e-2)
    assert faint.peak_err == pytest.approx(bright.peak_err, rel=1e-2)


def test_error_of_position_is_about_that_of_condon():
    """x_err = beam sigma / snr for noise of the beam's own shape, within the difference of the estimators."""
    (found,) = find_sources(sky_of([(35.3, 36.2, 0.1)]), CrossmatchParams())
    condon = WIDTH / 2.354820045 / (0.1 / RMS)
    assert 0.5 * condon < found.x_err < 2 * condon


@given(st.floats(0.1, 1e3))
@FEW
def test_another_unit_of_flux_finds_the_same_sources(k):
    places = [(20.2, 20.7, 0.02), (50.4, 25.1, 0.1)]
    one = find_sources(sky_of(places, seed=5), CrossmatchParams())
    other = find_sources(sky_of([(x, y, k * s) for x, y, s in places], seed=5, rms=k * RMS), CrossmatchParams())
    assert len(one) == len(other) == 2
    for a, b in zip(one, other, strict=True):
        assert (b.x, b.y) == pytest.approx((a.x, a.y), abs=1e-3)
        assert b.flux == pytest.approx(k * a.flux, rel=1e-3)
        assert b.flux_err == pytest.approx(k * a.flux_err, rel=1e-2)


@pytest.mark.parametrize(("peak", "count"), [(4.9, 0), (5.1, 1)])
def test_threshold_is_met_by_the_peak_in_units_of_the_noise(peak, count):
    assert len(find_sources(sky_of([(36, 36, peak * RMS)]), CrossmatchParams(threshold_sigma=5))) == count


def test_extended_source_is_resolved_and_its_flux_is_the_integral():
    y, x = np.mgrid[:SIZE, :SIZE]
    wide = 2 * WIDTH / 2.354820045
    image = 0.5 * np.exp(-((x - 36) ** 2 + (y - 36) ** 2) / (2 * wide**2))
    (found,) = find_sources(replace(sky_of(), image=image.astype(np.float32)), CrossmatchParams())
    assert found.flags & Flag.RESOLVED
    assert found.flux == pytest.approx(0.5 * 4, rel=0.02)
    assert found.major == pytest.approx(2 * BEAM.major_arcsec, rel=0.02)


def test_negative_peaks_are_no_sources():
    assert find_sources(sky_of([(36, 36, -1.0)]), CrossmatchParams()) == []


def test_source_beside_a_blank_is_of_the_edge():
    sky = sky_of([(36, 36, 0.1)])
    sky.image[:, :33], sky.rms[:, :33] = np.nan, np.nan
    (found,) = find_sources(sky, CrossmatchParams())
    assert found.flags & Flag.EDGE
    assert found.peak == pytest.approx(0.1, rel=0.05)


def test_neighbours_are_mutual_and_never_oneself():
    starts = [(1.0, 0.0, 0.0), (1.0, 3.0, 0.0), (1.0, 6.5, 0.0), (1.0, 90.0, 0.0)]
    groups = _near(starts, 4.0)
    assert groups == [[1], [0, 2], [1], []]


@given(st.floats(12, 60), st.floats(12, 60), st.floats(-5, 5))
@FEW
def test_forced_flux_is_linear_and_measures_negative_ones_too(x, y, flux):
    at = np.array([x]), np.array([y])
    assert forced_photometry(sky_of([(x, y, flux)]), *at).flux[0] == pytest.approx(flux, rel=1e-4, abs=1e-6)


def test_forced_error_follows_the_noise_and_not_the_flux():
    at = np.array([36.3]), np.array([35.8])
    faint, bright = (forced_photometry(sky_of([(36.3, 35.8, s)]), *at) for s in (0.0, 10.0))
    louder = forced_photometry(sky_of(rms=3 * RMS), *at)
    assert faint.error[0] == bright.error[0]
    assert louder.error[0] == pytest.approx(3 * faint.error[0], rel=1e-5)
    assert faint.rms[0] == pytest.approx(RMS)


@pytest.mark.parametrize(("x", "y"), [(-0.6, 10), (10, -0.6), (SIZE - 0.4, 10), (10, SIZE - 0.4), (np.nan, 3)])
def test_no_noise_is_known_outside(x, y):
    assert np.isnan(sky_of().rms_at(np.array([x]), np.array([y]))[0])


@pytest.mark.parametrize(("x", "y"), [(-0.4, 10), (10, -0.4), (SIZE - 0.6, 10), (10, SIZE - 0.6)])
def test_half_a_pixel_over_the_last_centre_is_still_inside(x, y):
    assert sky_of().rms_at(np.array([x]), np.array([y]))[0] == pytest.approx(RMS)


@pytest.mark.parametrize("ra", [0.0, 359.995, 180.0])
def test_catalog_is_cut_to_the_image_also_over_right_ascension_zero(ra):
    sky = sky_of(ra=ra)
    offsets = np.array([-30, 0, 30, 3600, 180 * 3600]) * ARCSEC
    kept, x, y = inside(sky, catalog_at((ra + offsets) % 360, np.full(5, 30.0)))
    assert kept.name.tolist() == ["s0", "s1", "s2"]
    assert x == pytest.approx(SIZE // 2 - offsets[:3] * 3600 * np.cos(np.radians(30)) / CELL, abs=0.01)
    assert y == pytest.approx([SIZE // 2] * 3, abs=0.01)


def judged(ratio=1.0, north=0.0, east=0.0, count=12, flags=0, flux=1.0, **params):
    """Figures of ``count`` matched sources at one place, and as many of a catalog."""
    sky = sky_of()
    x, y = np.full(count, 36.0), np.full(count, 36.0)
    ra, dec = sky.wcs.wcs_pix2world(x, y, 0)
    shape = (WIDTH, WIDTH, 0.0)
    sources = [Source(36.0, 36.0, 0, 0, ratio * flux, 0, ratio * flux, 0, RMS, *shape, Flag(flags))] * count
    at = (ra + east * ARCSEC / np.cos(np.radians(30))) % 360, dec + north * ARCSEC
    found = Matches(np.arange(count), np.zeros(count))
    given_ = catalog_at(ra % 360, dec, flux)
    made = _figures(sky, sources, at, given_, found, CrossmatchParams(**params))
    return {f.name.removeprefix("crossmatch."): f for f in made}


@pytest.mark.parametrize(
    ("ratio", "wanted"),
    [
        (1.0, Verdict.PASS),
        (0.921, Verdict.PASS),
        (1.079, Verdict.PASS),
        (0.919, Verdict.DEGRADED),
        (1.081, Verdict.DEGRADED),
        (0.801, Verdict.DEGRADED),
        (0.799, Verdict.FAILED),
        (1.201, Verdict.FAILED),
    ],
)
def test_gate_of_the_flux_ratio_on_both_sides(ratio, wanted):
    found = judged(ratio)["flux_ratio"]
    assert found.value == pytest.approx(ratio)
    assert found.verdict is wanted


@pytest.mark.parametrize(
    ("east", "north", "wanted"),
    [
        (0, 1.99, Verdict.PASS),
        (0, -2.01, Verdict.DEGRADED),
        (1.5, 1.5, Verdict.DEGRADED),
        (-4.99, 0, Verdict.DEGRADED),
        (3.6, -3.6, Verdict.FAILED),
    ],
)
def test_gate_of_the_offset_is_about_its_length(east, north, wanted):
    found = judged(east=east, north=north)
    assert found["offset"].verdict is wanted
    assert found["offset_ra"].value == pytest.approx(east, abs=0.01)
    assert found["offset_dec"].value == pytest.approx(north, abs=0.01)
    assert {found[name].unit for name in ("offset", "offset_ra", "offset_dec")} == {"arcsec"}


@pytest.mark.parametrize(("count", "wanted"), [(10, Verdict.PASS), (9, Verdict.DEGRADED)])
def test_gate_of_the_anchors(count, wanted):
    assert judged(count=count)["anchors"].verdict is wanted


@pytest.mark.parametrize("change", [{"flags": Flag.BLENDED}, {"flags": Flag.NO_FIT}, {"flux": 0.049}])
def test_what_cannot_be_trusted_is_no_anchor_but_still_a_match(change):
    found = judged(**change)
    assert (found["matched"].value, found["anchors"].value) == (12, 0)
    assert found["flux_ratio"].verdict is Verdict.DEGRADED
    assert found["flux_ratio"].value is None


@pytest.mark.parametrize("flags", [Flag.RESOLVED, Flag.EDGE])
def test_resolved_sources_and_those_at_the_edge_are_anchors(flags):
    assert judged(flags=flags)["anchors"].value == 12


def test_median_of_nothing_is_not_measured():
    assert _median(np.empty(0)) is None
    assert _median(np.array([3.0, 1.0, 2.0])) == 2.0
