"""The finder's view of a mosaic: local noise, correlation, beam."""

import numpy as np
import pytest
from astropy.io import fits
from skies import beam_noise, sin_wcs

from contimg_crossmatch.params import CrossmatchParams
from contimg_crossmatch.sky import open_sky

CELL, SIZE, BEAM, RMS = 4.0, 400, 20.0, 1e-3
WCS = sin_wcs(0.0, 33.0, CELL, (SIZE, SIZE))


def opened(base, image, noise, pb=None, **params):
    header = WCS.to_header()
    header["BMAJ"] = header["BMIN"] = BEAM / 3600
    header["BPA"] = 0.0
    for name, data in (("m", image), ("n", noise), ("p", pb)):
        if data is not None:
            fits.PrimaryHDU(data.astype(np.float32), header).writeto(base / f"{name}.fits")
    gain = base / "p.fits" if pb is not None else None
    return open_sky(base / "m.fits", base / "n.fits", gain, 1.4e9, CrossmatchParams(**params))


def noise_of(seed=1):
    return beam_noise(np.random.default_rng(seed), (SIZE, SIZE), RMS, BEAM / CELL)


def test_true_noise_map_is_kept(tmp_path):
    scale = 1 + np.linspace(0, 2, SIZE)[None, :] * np.ones((SIZE, 1))
    sky = opened(tmp_path, noise_of() * scale, RMS * scale)
    ratio = sky.rms / (RMS * scale)
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)
    assert np.abs(ratio - 1).max() < 0.2


def test_noise_that_the_map_does_not_know_is_found(tmp_path):
    image = noise_of()
    image[:, :200] *= 3
    sky = opened(tmp_path, image, np.full((SIZE, SIZE), RMS), background_beams=10)
    assert np.median(sky.rms[:, :120]) == pytest.approx(3 * RMS, rel=0.1)
    assert np.median(sky.rms[:, 280:]) == pytest.approx(RMS, rel=0.1)


def test_sources_do_not_raise_the_noise_or_the_correlation(tmp_path):
    image = noise_of()
    plain = opened(tmp_path, image, np.full((SIZE, SIZE), RMS))
    y, x = np.mgrid[:SIZE, :SIZE]
    for x0 in range(40, 400, 80):
        image = image + 0.3 * np.exp(-((x - x0) ** 2 + (y - x0) ** 2) / (2 * (BEAM / CELL / 2.3548) ** 2))
    (tmp_path / "b").mkdir()
    crowded = opened(tmp_path / "b", image, np.full((SIZE, SIZE), RMS))
    assert np.median(crowded.rms / plain.rms) == pytest.approx(1.0, abs=0.02)
    assert np.abs(crowded.correlation - plain.correlation).max() < 0.08


def test_correlation_is_that_of_the_noise(tmp_path):
    sky = opened(tmp_path, noise_of(), np.full((SIZE, SIZE), RMS))
    k = sky.correlation.shape[0] // 2
    width = BEAM / CELL / 2.354820045
    assert sky.correlation[k, k] == 1.0
    assert sky.correlation[k, k + 2] == pytest.approx(np.exp(-4 / (4 * width**2)), abs=0.05)
    assert k >= 2 * sky.beam_pixels


def test_blank_pixels_stay_blank_and_count_nowhere(tmp_path):
    image = noise_of()
    image[:100] = np.nan
    sky = opened(tmp_path, image, np.full((SIZE, SIZE), RMS))
    assert np.isnan(sky.rms[:100]).all()
    assert np.median(sky.rms[110:]) == pytest.approx(RMS, rel=0.05)
    assert np.isnan(sky.rms_at(np.array([50.0, -3.0]), np.array([50.0, 200.0]))).all()


def test_gain_is_one_when_corrected_and_the_beam_otherwise(tmp_path):
    flat = np.full((SIZE, SIZE), RMS)
    corrected = opened(tmp_path, noise_of(), flat)
    assert corrected.gain_at(np.array([3.0]), np.array([4.0])).tolist() == [1.0]
    (tmp_path / "b").mkdir()
    pb = np.tile(np.linspace(0.1, 1.0, SIZE), (SIZE, 1))
    apparent = opened(tmp_path / "b", noise_of(), flat, pb)
    assert apparent.gain_at(np.array([0.0, 399.0]), np.array([7.0, 7.0])).tolist() == pytest.approx([0.1, 1.0])
