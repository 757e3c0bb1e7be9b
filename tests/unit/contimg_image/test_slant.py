"""The slanted projection of a flat array: fewer planes of w, the same sky."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from visibility_sim import Observation, Source, random_array, seen_longer, simulate

from contimg_image.clean import Clark
from contimg_image.deconvolve import Limits, deconvolve
from contimg_image.gridder import Gridder
from contimg_image.visibilities import Visibilities, slanted

CELL_ARCSEC, SIZE = 20.0, 600
CELL = np.radians(CELL_ARCSEC / 3600)
SOURCES = (Source(151.35, 10.0, 1.0), Source(149.0, 8.9, 0.6), Source(150.1, 11.3, 0.3))
FREQ = 1.4e9 + 2e6 * np.arange(3)


@pytest.fixture(scope="module")
def vis():
    """Six minutes at hour angle 0 of a flat array 24 degrees north of the source."""
    times = 2460700.5 + np.arange(6) / 1440
    hours = np.linspace(-0.011, 0.011, 6)
    sky = Observation(random_array(30, 500.0), dec_deg=10.0, freq_hz=FREQ, sources=SOURCES, times_jd=times)
    sky.hour_angle_rad = hours
    uvw, data, first, second, when = simulate(sky)
    data = data.astype(np.complex64)
    weight = np.ones(data.shape, np.float32)
    return Visibilities(uvw, FREQ, data, weight, when, first, second, 60.0, (FREQ[0], FREQ[-1]))


def wcs_of(slope):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---SIN", "DEC--SIN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 10.0], [SIZE // 2 + 1, SIZE // 2 + 1]
    wcs.wcs.cdelt = [-CELL_ARCSEC / 3600, CELL_ARCSEC / 3600]
    wcs.wcs.set_pv([(2, 1, -slope[0]), (2, 2, -slope[1])])
    wcs.wcs.set()
    return wcs


def gridder_of(vis, *, flat):
    return Gridder(vis.uvw_m, vis.freq_hz, vis.weight, SIZE, CELL, 1e-4, flat=flat)


def test_what_is_left_of_w_is_short(vis):
    found = slanted(vis)
    back = found.uvw_m[:, 2] + found.uvw_m[:, :2] @ np.array(found.slope)
    np.testing.assert_allclose(back, vis.uvw_m[:, 2], atol=1e-9)
    assert np.abs(found.uvw_m[:, 2]).max() < 0.05 * np.abs(vis.uvw_m[:, 2]).max()
    assert abs(found.slope[1]) == pytest.approx(np.tan(np.radians(24.0)), rel=0.02)


def test_a_source_lies_where_the_header_says(vis):
    """Without the slant in the header the farthest source would be a quarter of a pixel off, here 5 arcsec."""
    found = slanted(vis)
    image = gridder_of(found, flat=True)
    image.psf()
    dirty = image.dirty(found.data, exact=True)
    sky = wcs_of(found.slope)
    plain = wcs_of((0.0, 0.0))
    for source in SOURCES[:1]:
        x, y = (float(value) for value in sky.wcs_world2pix(source.ra_deg, source.dec_deg, 0))
        wrong = float(plain.wcs_world2pix(source.ra_deg, source.dec_deg, 0)[1])
        box = dirty[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
        top = np.unravel_index(box.argmax(), box.shape)
        before, middle, after = dirty[round(y) + top[0] - 3 : round(y) + top[0], round(x)]
        at = round(y) + top[0] - 2 + 0.5 * (before - after) / (before - 2 * middle + after)
        assert at == pytest.approx(y, abs=0.05)
        assert abs(y - wrong) > 0.2


def test_prediction_is_the_direct_sum(vis):
    found = slanted(vis)
    sky, model = wcs_of(found.slope), np.zeros((SIZE, SIZE), np.float32)
    y, x = 520, 90
    model[y, x] = 2.0
    ra, dec = sky.wcs_pix2world(x, y, 0)
    obs = Observation(
        random_array(30, 500.0), dec_deg=10.0, freq_hz=FREQ, sources=(Source(float(ra), float(dec), 2.0),)
    )
    obs.times_jd, obs.hour_angle_rad = 2460700.5 + np.arange(6) / 1440, np.linspace(-0.011, 0.011, 6)
    truth = simulate(obs)[1]
    scaled = slanted(Visibilities(**{**vars(vis), "uvw_m": vis.uvw_m * seen_longer(obs)}))
    exact = gridder_of(scaled, flat=True).predict(model)
    flat = gridder_of(scaled, flat=True).predict(model, exact=False)
    assert np.abs(exact - truth).max() < 5e-3, "n is that of the slanted axes: 4e-6 off, times w"
    assert np.abs(exact - truth).max() < np.abs(flat - truth).max() < 0.5


def test_flat_passes_end_with_the_exact_residual(vis):
    found = slanted(vis)
    made = {}
    for flat in (False, True):
        gridder = gridder_of(found, flat=flat)
        made[flat] = deconvolve(gridder, found.data, lambda psf: Clark(psf, 0.1), Limits(threshold_jy=0.01))
        np.testing.assert_allclose(
            made[flat].residual, gridder.dirty(found.data - gridder.predict(made[flat].model)), atol=1e-5
        )
    assert made[True].residual.std() == pytest.approx(made[False].residual.std(), rel=0.1)
