"""The finder on small skies: thresholds, artefacts around bright sources, errors of the calibration."""

from dataclasses import replace

import numpy as np
import pytest
from skies import beam_noise, sin_wcs

from contimg.radio.gaussians import Beam, autocorrelation
from contimg_crossmatch.finder import Flag, find_sources
from contimg_crossmatch.params import CrossmatchParams
from contimg_crossmatch.sky import Sky

SIZE, WIDTH, RMS = 256, 6.0, 1e-3
SIGMA = WIDTH / 2.354820045


def sky_with(sources, *, seed=2, extra=None):
    rng = np.random.default_rng(seed)
    image = beam_noise(rng, (SIZE, SIZE), RMS, WIDTH)
    correlation = autocorrelation(image, 13)
    y, x = np.mgrid[:SIZE, :SIZE]
    for x0, y0, peak in sources:
        image += peak * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * SIGMA**2))
    if extra is not None:
        image += extra(rng, x, y)
    beam, wcs = Beam(2 * WIDTH, 2 * WIDTH), sin_wcs(0, 30, 2.0, (SIZE, SIZE))
    rms = np.full((SIZE, SIZE), RMS, np.float32)
    return Sky(image.astype(np.float32), rms, None, correlation, wcs, beam, 2.0, 1.4e9)


def test_brightest_comes_first_and_faint_ones_stay_out():
    sky = sky_with([(60.2, 60.7, 0.02), (180.4, 60.1, 0.1), (60.5, 180.3, 0.0035)])
    found = find_sources(sky, CrossmatchParams())
    assert [round(s.peak, 2) for s in found] == [0.1, 0.02]
    assert (found[0].x, found[0].y) == pytest.approx((180.4, 60.1), abs=0.1)


def test_threshold_is_that_of_the_parameters():
    sky = sky_with([(60.2, 60.7, 0.02), (180.4, 60.1, 0.1)])
    assert len(find_sources(sky, CrossmatchParams(threshold_sigma=50))) == 1


def test_artefacts_around_a_bright_source_are_noise_there():
    """Ripples of 4 rms around a bright source make errors larger and are no sources."""

    def ripples(rng, x, y):
        near = np.hypot(x - 128, y - 128) < 40
        return np.where(near, beam_noise(rng, (SIZE, SIZE), 4 * RMS, WIDTH), 0.0)

    alone = find_sources(sky_with([(128.0, 128.0, 1.0)]), CrossmatchParams())
    found = find_sources(sky_with([(128.0, 128.0, 1.0)], extra=ripples), CrossmatchParams())
    assert found[0].rms == pytest.approx(np.hypot(1, 4) * RMS, rel=0.3)
    assert found[0].flux_err == pytest.approx(alone[0].flux_err * found[0].rms / RMS, rel=0.05)
    assert alone[0].rms == pytest.approx(RMS)
    assert not [s for s in found[1:] if np.hypot(s.x - 128, s.y - 128) < 4 * WIDTH]


def test_calibration_error_adds_in_quadrature():
    sky = sky_with([(128.0, 128.0, 1.0)])
    plain, more = (find_sources(sky, CrossmatchParams(flux_scale_error=e))[0] for e in (0.0, 0.03))
    assert more.flux_err == pytest.approx(np.hypot(plain.flux_err, 0.03 * plain.flux))
    assert more.peak_err == plain.peak_err


def test_source_that_cannot_be_fitted_keeps_its_pixel():
    def plateau(_rng, x, y):
        return np.where((np.abs(x - 128) < 40) & (np.abs(y - 128) < 40), 0.05, 0.0)

    found = find_sources(sky_with([], extra=plateau), CrossmatchParams())
    assert found
    assert all(s.flags & (Flag.NO_FIT | Flag.RESOLVED) for s in found if abs(s.x - 128) < 38 and abs(s.y - 128) < 38)
    assert all(np.isfinite([s.flux, s.flux_err, s.major]).all() for s in found)


def test_nothing_above_the_noise_is_an_empty_list():
    assert find_sources(sky_with([]), CrossmatchParams(threshold_sigma=6.0)) == []


def test_correlation_and_noise_set_the_errors():
    sky = sky_with([(128.0, 128.0, 0.1)])
    twice = find_sources(replace(sky, rms=2 * sky.rms), CrossmatchParams())[0]
    once = find_sources(sky, CrossmatchParams())[0]
    assert twice.peak_err == pytest.approx(2 * once.peak_err, rel=1e-6)
    assert once.peak_err == pytest.approx(RMS, rel=0.1)
