"""Figures of a mosaic on maps with known answers."""

import numpy as np
import pytest
from skies import sin_wcs

from contimg.radio.gaussians import Beam
from contimg_mosaic.combine import Maps
from contimg_mosaic.grid import Grid
from contimg_mosaic.measure import area_deg2, brightest, deep_rms, mad_rms, noise_ratio


@pytest.fixture
def maps():
    rng = np.random.default_rng(4)
    noise = np.full((200, 200), 2e-3, np.float32)
    noise[:, 100:] = 8e-3
    mosaic = (noise * rng.normal(size=noise.shape)).astype(np.float32)
    weight = (1 / noise**2).astype(np.float32)
    mosaic[:10], noise[:10], weight[:10] = np.nan, np.nan, 0
    return Maps(mosaic, weight, noise, None)


def test_deep_rms_is_that_of_the_deep_half(maps):
    assert deep_rms(maps) == pytest.approx(2e-3, rel=0.03)


def test_noise_ratio_is_one_and_sees_a_wrong_map(maps):
    assert noise_ratio(maps) == pytest.approx(1.0, abs=0.03)
    assert noise_ratio(Maps(maps.mosaic * np.float32(1.2), maps.weight, maps.noise, None)) == pytest.approx(
        1.2, abs=0.04
    )


def test_mad_of_nothing_is_nan():
    assert np.isnan(mad_rms(np.full(5, np.nan, np.float32)))


def test_area_counts_covered_sky(maps):
    wcs = sin_wcs(0, 0, 36.0, (200, 200))
    assert area_deg2(maps, Grid(wcs, (200, 200))) == pytest.approx(190 * 200 * 1e-4, rel=1e-3)


def test_brightest_is_the_brightest_significant_one(maps):
    """A noise peak in the shallow part is higher than the source, yet no source."""
    wcs = sin_wcs(150.0, 20.0, 10.0, (200, 200))
    y, x = np.mgrid[:200, :200]
    maps.mosaic[:] += (0.025 * np.exp(-((x - 50.3) ** 2 + (y - 80.6) ** 2) / (2 * 2.5**2))).astype(np.float32)
    maps.mosaic[150, 150] = 0.035
    found = brightest(maps, wcs, Beam(2.5 * 23.548, 2.5 * 23.548), 10.0)
    ra, dec = wcs.wcs_pix2world(50.3, 80.6, 0)
    assert found.peak_jy == pytest.approx(0.025, abs=0.002)
    assert abs(found.ra_deg - ra) * 3600 < 3
    assert abs(found.dec_deg - dec) * 3600 < 3


def test_brightest_of_noise_is_nothing(maps):
    assert brightest(maps, sin_wcs(0, 0, 10.0, (200, 200)), Beam(60, 60), 10.0, threshold=6.0) is None
