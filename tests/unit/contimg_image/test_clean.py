from __future__ import annotations

import numpy as np
import pytest

from contimg_image.clean import Clark, Multiscale


def lobed_psf(size):
    """A narrow lobe with a ring of 20 %."""
    offset = np.arange(size) - size // 2
    radius = np.hypot(offset[:, None], offset[None, :])
    return (np.exp(-((radius / 2.5) ** 2)) + 0.2 * np.exp(-(((radius - 12) / 2) ** 2))).astype(np.float32)


def sampled_psf(size):
    """The PSF of an array: a sum of waves with positive weights."""
    rng = np.random.default_rng(8)
    wave = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    weight = np.exp(-((wave / 0.12) ** 2)) * (rng.uniform(size=wave.shape) < 0.6)
    weight[wave < 0.03] = 1.0
    psf = np.fft.fftshift(np.fft.irfft2(weight, (size, size)))
    return (psf / psf.max()).astype(np.float32)


def convolved(model, psf):
    size = model.shape[0]
    product = np.fft.rfft2(model) * np.fft.rfft2(np.fft.ifftshift(psf))
    return np.fft.irfft2(product, (size, size)).astype(np.float32)


@pytest.mark.parametrize("size", [128, 129])
def test_clark_finds_points_among_sidelobes(size):
    psf, sky = lobed_psf(size), np.zeros((size, size), np.float32)
    sky[40, 50], sky[70, 80], sky[45, 60] = 1.0, -0.5, 0.2
    dirty, model = convolved(sky, psf), np.zeros_like(sky)
    everywhere = np.ones(sky.shape, bool)
    clark = Clark(psf, 0.1)
    for _ in range(4):
        residual = dirty - convolved(model, psf)
        clark.run(residual, everywhere, max(0.002, 0.1 * clark.peak(residual, everywhere)), 5000, model)
    assert np.abs(dirty - convolved(model, psf)).max() < 0.005
    for y, x, flux in [(40, 50, 1.0), (70, 80, -0.5), (45, 60, 0.2)]:
        assert model[y - 1 : y + 2, x - 1 : x + 2].sum() == pytest.approx(flux, abs=0.01)
    assert np.abs(model).sum() == pytest.approx(1.7, abs=0.05)


def test_clark_obeys_mask_limit_and_budget():
    psf, sky = lobed_psf(64), np.zeros((64, 64), np.float32)
    sky[20, 20] = sky[44, 44] = 1.0
    mask = np.zeros(sky.shape, bool)
    mask[:32, :32] = True
    dirty, clark = convolved(sky, psf), Clark(psf, 0.1)
    model = np.zeros_like(sky)
    count = clark.run(dirty, mask, 0.5, 1000, model)
    assert not model[32:].any()
    # each component leaves 0.9 of the peak (next to it there is less): 0.9^n <= 0.5
    assert count == pytest.approx(np.log(0.5) / np.log(0.9), abs=2)
    assert clark.run(dirty, mask, 0.01, 3, np.zeros_like(sky)) == 3
    assert clark.run(dirty, mask, 2.0, 1000, np.zeros_like(sky)) == 0


def test_clark_limits_its_candidates_to_the_brightest(monkeypatch):
    monkeypatch.setattr("contimg_image.clean._CANDIDATES", 5)
    psf, sky = lobed_psf(64), np.zeros((64, 64), np.float32)
    sky[20, 20] = 1.0
    model = np.zeros_like(sky)
    Clark(psf, 0.1).run(convolved(sky, psf), np.ones(sky.shape, bool), 0.01, 1000, model)
    assert 0.1 < model.sum() < 0.9
    assert np.count_nonzero(model) <= 5


def test_multiscale_needs_few_components_for_a_blob():
    size = 128
    psf = sampled_psf(size)
    offset = np.arange(size) - size // 2
    blob = np.exp(-((offset[:, None] / 8.0) ** 2) - ((offset[None, :] + 10) / 8.0) ** 2)
    sky = (5 * blob / blob.sum()).astype(np.float32)
    sky[90, 40] = 1.0
    dirty = convolved(sky, psf)
    everywhere = np.ones(sky.shape, bool)
    limit = 0.03 * dirty.max()
    results = {}
    for name, method in {"multi": Multiscale(psf, 0.1, (0.0, 12.0, 24.0)), "point": Clark(psf, 0.1)}.items():
        model = np.zeros_like(sky)
        count = method.run(dirty, everywhere, limit, 20000, model)
        results[name] = count, model, np.abs(dirty - convolved(model, psf))
    count, model, left = results["multi"]
    assert left.max() < 2 * limit
    assert model.sum() == pytest.approx(6.0, rel=0.06)
    assert model[89:92, 39:42].sum() == pytest.approx(1.0, abs=0.06)
    assert np.abs(model - sky)[40:80, 30:80].max() < 0.35 * sky[40:80, 30:80].max()
    assert np.abs(results["point"][1] - sky)[40:80, 30:80].max() > np.abs(model - sky)[40:80, 30:80].max()


def test_multiscale_peak_is_that_of_noise_at_every_scale():
    """Noise with the covariance of the PSF has the same rms seen at each scale."""
    size, rng = 256, np.random.default_rng(4)
    radius = np.hypot(*np.meshgrid(np.arange(size) - size // 2, np.arange(size) - size // 2))
    psf = np.exp(-((radius / 2.5) ** 2)).astype(np.float32)
    spectrum = np.sqrt(np.abs(np.fft.rfft2(np.fft.ifftshift(psf))))
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(size, size))) * spectrum, (size, size)).astype(np.float32)
    many = Multiscale(psf, 0.1, (0.0, 10.0, 20.0))
    rms = [many._view(np.fft.rfft2(noise).astype(np.complex64), k).std() for k in range(3)]
    assert rms == pytest.approx([noise.std()] * 3, rel=0.1)
