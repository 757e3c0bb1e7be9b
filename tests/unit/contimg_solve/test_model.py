from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gain_bench import ANTENNAS, FREQS, TARGET, write_scan

from contimg.radio.coordinates import aberration, lmn
from contimg.radio.ms.read import open_recording
from contimg_solve.data import blocks
from contimg_solve.model import Sky, point, visibilities


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    sources = [(TARGET[0] + 0.5, TARGET[1] + 0.4, 2.0), (TARGET[0] - 0.3, TARGET[1] + 0.1, 0.7)]
    path = tmp_path_factory.mktemp("model") / "t.ms"
    write_scan(path, "t", TARGET, sources, np.ones((len(FREQS), 2, ANTENNAS)))
    return open_recording(path), sources


def test_sources_off_the_centre_agree_with_an_independent_sum(scan):
    recording, sources = scan
    ra, dec = np.radians([s[0] for s in sources]), np.radians([s[1] for s in sources])
    flux = np.tile(np.array([s[2] for s in sources], np.float32)[None, :, None], (4, 1, len(FREQS)))
    scale = aberration(recording.ra_rad, recording.dec_rad, recording.mid_s / 86400 + 2400000.5)
    sky = Sky(scale * lmn(ra, dec, recording.ra_rad, recording.dec_rad), flux)
    for block in blocks(recording, recording.antennas, 50_000):
        predicted = visibilities(sky, block, recording.freqs_hz)
        np.testing.assert_allclose(predicted, block.vis[..., 0], atol=2e-5)


def test_flux_may_change_with_time_and_channel(scan):
    recording, _ = scan
    flux = (np.arange(4)[:, None] + 1) * (1 + np.arange(len(FREQS)) / 10)
    sky = Sky(np.zeros((1, 3)), flux[:, None].astype(np.float32))
    (block,) = blocks(recording, recording.antennas)
    np.testing.assert_allclose(visibilities(sky, block, recording.freqs_hz), flux[block.time], rtol=1e-6)


def test_number_of_channels_need_not_be_a_multiple_of_sixteen(scan):
    recording, _ = scan
    (block,) = blocks(recording, recording.antennas)
    sky = point(recording, np.arange(len(FREQS), dtype=float))
    some = Sky(np.array([[0.01, -0.02, -0.00025]]), sky.flux_jy[:, :, :11])
    full = Sky(some.lmn, sky.flux_jy)
    np.testing.assert_allclose(
        visibilities(some, block, FREQS[:11]), visibilities(full, block, FREQS)[:, :11], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("count", [1, 2])
def test_few_channels(scan, count):
    recording, _ = scan
    (block,) = blocks(recording, recording.antennas)
    sky = Sky(np.array([[0.01, -0.02, -0.00025]]), np.full((4, 1, count), 3.0, np.float32))
    turns = block.uvw @ sky.lmn[0] / 299792458.0
    wanted = 3 * np.exp(2j * np.pi * turns[:, None] * FREQS[:count])
    np.testing.assert_allclose(visibilities(sky, block, FREQS[:count]), wanted, atol=1e-4)


def test_prediction_is_linear_in_the_fluxes_and_adds_over_sources(scan):
    recording, _ = scan
    (block,) = blocks(recording, recording.antennas)
    places = np.array([[0.01, -0.02, -0.00025], [-0.005, 0.003, -0.000017]])
    flux = np.random.default_rng(1).uniform(0.1, 2, (4, 2, len(FREQS))).astype(np.float32)
    both = visibilities(Sky(places, flux), block, FREQS)
    parts = [visibilities(Sky(places[k : k + 1], flux[:, k : k + 1]), block, FREQS) for k in range(2)]
    np.testing.assert_allclose(both, parts[0] + parts[1], atol=1e-4)
    np.testing.assert_allclose(visibilities(Sky(places, 5 * flux), block, FREQS), 5 * both, atol=5e-4)


def test_baseline_turned_around_sees_the_conjugate(scan):
    recording, _ = scan
    (block,) = blocks(recording, recording.antennas)
    sky = Sky(np.array([[0.01, -0.02, -0.00025]]), np.ones((4, 1, len(FREQS)), np.float32))
    back = replace(block, uvw=-block.uvw)
    np.testing.assert_allclose(visibilities(sky, back, FREQS), visibilities(sky, block, FREQS).conj(), atol=1e-5)


def test_empty_sky_is_dark(scan):
    recording, _ = scan
    (block,) = blocks(recording, recording.antennas)
    nothing = Sky(np.zeros((0, 3)), np.zeros((4, 0, len(FREQS)), np.float32))
    assert not visibilities(nothing, block, FREQS).any()
