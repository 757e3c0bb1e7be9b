from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import HADec, SkyCoord
from astropy.time import Time
from scipy.special import j1

from contimg.instruments import telescope
from contimg.radio.coordinates import meridian_icrs
from contimg.radio.gaussians import Beam
from contimg_image.header import celestial, image_header
from contimg_image.params import ImageParams
from contimg_image.primary import drifts, pointing_dec, primary_beam, sampled

PARAMS = ImageParams(cell_arcsec=60, size=241)


def airy(theta_rad, freq_hz, dish_m):
    x = np.pi * dish_m * np.sin(theta_rad) * freq_hz / 299792458.0
    return np.where(np.abs(x) < 1e-9, 1.0, (2 * j1(x) / np.where(x == 0, 1, x)) ** 2)


def pixels(recording, vis, places):
    """Beam image and the sky positions of some pixels."""
    wcs = celestial(image_header(recording, vis, PARAMS, Beam(50, 50, 0)))
    image = primary_beam(recording, vis, vis.weight, wcs, PARAMS.size, "airy").mean
    return image, SkyCoord.from_pixel([x for _, x in places], [y for y, _ in places], wcs)


def test_fixed_pointing_is_the_dish_at_each_frequency(small_recording, small_vis):
    places = [(120, 120), (120, 135), (130, 112), (100, 100)]
    image, sky = pixels(small_recording, small_vis, places)
    centre = SkyCoord(small_recording.ra_rad * u.rad, small_recording.dec_rad * u.rad)
    for (y, x), theta in zip(places, sky.separation(centre).rad, strict=True):
        expected = airy(theta, small_vis.freq_hz, 25.0).mean()
        assert image[y, x] == pytest.approx(expected, abs=2e-4)
    assert image[120, 120] == pytest.approx(1.0)


def test_drift_is_the_mean_of_a_beam_on_the_meridian(small_recording, small_vis):
    """Truth from astropy's HADec, not from the formulae of the stage."""
    dsa = telescope("dsa110")
    times = 2461066.43 + np.arange(24) * 12.884902 / 86400
    dec = np.radians(16.2)
    ra, dec_icrs = (float(each[0]) for each in meridian_icrs([times.mean()], dec, dsa))
    recording = replace(small_recording, telescope="OVRO_MMA", ra_rad=ra, dec_rad=dec_icrs)
    rows = np.arange(len(small_vis.time_jd)) % 24
    vis = replace(small_vis, time_jd=times[rows], interval_s=12.884902)
    assert drifts(recording)
    assert pointing_dec(recording, vis) == pytest.approx(dec, abs=1e-5)
    places = [(120, 120), (120, 60), (190, 120), (60, 180)]
    image, sky = pixels(recording, vis, places)
    frame = HADec(obstime=Time(times[:, None], format="jd"), location=dsa.location)
    local = sky[None, :].transform_to(frame)
    pointing = SkyCoord(0 * u.deg, dec * u.rad, frame=HADec())
    ha, d = local.ha.rad, local.dec.rad
    cos = np.sin(d) * np.sin(pointing.dec.rad) + np.cos(d) * np.cos(pointing.dec.rad) * np.cos(ha)
    share = np.bincount(rows, minlength=24) / len(rows)
    for number, (y, x) in enumerate(places):
        theta = np.arccos(np.clip(cos[:, number], -1, 1))
        expected = share @ airy(theta[:, None], vis.freq_hz[None, :], 4.65).mean(axis=1)
        assert image[y, x] == pytest.approx(expected, abs=3e-4)


def test_terms_are_the_slopes_of_the_beam(small_recording, small_vis):
    """mean x (1 + sum of factor x image) is the beam of each integration and channel, but for its curvature."""
    dsa = telescope("dsa110")
    times = 2461066.43 + np.arange(24) * 12.884902 / 86400
    dec = np.radians(16.2)
    ra, dec_icrs = (float(each[0]) for each in meridian_icrs([times.mean()], dec, dsa))
    recording = replace(small_recording, telescope="OVRO_MMA", ra_rad=ra, dec_rad=dec_icrs)
    rows = np.arange(len(small_vis.time_jd)) % 24
    freq = np.array([1.32e9, 1.4e9, 1.48e9])
    vis = replace(small_vis, time_jd=times[rows], freq_hz=freq, interval_s=12.884902)
    wcs = celestial(image_header(recording, vis, PARAMS, Beam(50, 50, 0)))
    found = primary_beam(recording, vis, vis.weight, wcs, PARAMS.size, "airy")
    assert [term.factor.shape for term in found.terms] == [(len(rows), 1), (1, 3)]
    for y, x in ((120, 60), (170, 160)):
        sky = SkyCoord.from_pixel(x, y, wcs)
        local = sky.transform_to(HADec(obstime=Time(times, format="jd"), location=dsa.location))
        ha, d = local.ha.rad, local.dec.rad
        theta = np.arccos(np.sin(d) * np.sin(dec) + np.cos(d) * np.cos(dec) * np.cos(ha))
        truth = airy(theta[:, None], freq[None, :], 4.65)
        model = found.mean[y, x] * (1 + sum(term.factor * term.image[y, x] for term in found.terms))
        left, constant = (np.std(each - truth) for each in (model[:24], found.mean[y, x]))
        assert left < 0.25 * constant
        assert constant > 0.05


def test_none_is_one_everywhere(small_recording, small_vis):
    wcs = celestial(image_header(small_recording, small_vis, PARAMS, Beam(50, 50, 0)))
    found = primary_beam(small_recording, small_vis, small_vis.weight, wcs, PARAMS.size, "none")
    assert np.ptp(found.mean) < 1e-6
    assert found.terms == ()


def test_sampled_keeps_the_mean_and_ignores_what_has_no_weight():
    values, weights = np.arange(10.0), np.array([0, 1, 2, 1, 1, 3, 1, 1, 1, 0.0])
    means, shares = sampled(values, weights, 3)
    assert len(means) == 3
    assert shares.sum() == pytest.approx(1)
    assert means @ shares == pytest.approx(np.average(values, weights=weights))
    assert len(sampled(values, weights, 50)[0]) == 8
