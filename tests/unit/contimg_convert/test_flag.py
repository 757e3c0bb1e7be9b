"""The flaggers on noise of known kind, with interference at known places."""

from __future__ import annotations

import numpy as np
import pytest

from contimg.radio.visibilities import Antennas, Visibilities
from contimg_convert import flag

ANTENNAS, TIMES, CHANNELS = 12, 12, 96


def noise(rng, *, source_jy=0.0, edges=False):
    """Twelve antennas, 16 subbands of 6 channels; a source that drifts through the beam; edges at half amplitude."""
    one, two = np.triu_indices(ANTENNAS)
    rows = TIMES * len(one)
    shape = (rows, CHANNELS, 2)
    vis = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    time = np.repeat(np.arange(TIMES), len(one))
    vis += source_jy * (1 - 0.15 * ((time - TIMES / 2) / TIMES * 2) ** 2)[:, None, None]
    if edges:
        vis *= np.tile([0.5, 1, 1, 1, 1, 0.5], 16)[:, None].astype(np.float32)
    names = tuple(str(n) for n in range(ANTENNAS))
    return Visibilities(
        telescope="dsa110",
        antennas=Antennas(names, names, np.zeros((ANTENNAS, 3)), np.ones(ANTENNAS)),
        vis=vis,
        flag=np.zeros(shape, bool),
        weight=np.ones((rows, 2), np.float32),
        uvw_m=np.zeros((rows, 3)),
        time_jd=2461000.5 + time * 12.9 / 86400,
        interval_s=np.full(rows, 12.9),
        antenna1=np.tile(one, TIMES).astype(np.int32),
        antenna2=np.tile(two, TIMES).astype(np.int32),
        freq_hz=1.31e9 + 1e6 * np.arange(CHANNELS),
        width_hz=1e6,
        corr_types=(9, 12),
        ra_rad=0.0,
        dec_rad=0.0,
        source="x",
        subband_channels=6,
    )


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_autocorrelations_and_edges(rng):
    data = noise(rng)
    flag.flag_autos_and_edges(data, 0.02)
    assert data.flag[~data.cross].all()
    assert np.nonzero(data.flag[data.cross].all((0, 2)))[0].tolist() == [0, 95]
    data = noise(rng)
    flag.flag_autos_and_edges(data, 0.001)
    assert not data.flag[data.cross].any()


def test_measure_against_numpy(rng):
    data = noise(rng)
    flag.flag_autos_and_edges(data, 0.0)
    data.flag[rng.random(data.flag.shape) < 0.1] = True
    data.flag[: len(data.flag) // TIMES, 7, 1] = True
    measured = flag.measure(data)
    live = np.where(data.flag, np.nan, np.abs(data.vis.astype(complex)))
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
        spectrum = np.nanmean((live**2).reshape(TIMES, -1, CHANNELS, 2), axis=1)
    assert np.allclose(measured.spectrum, spectrum, equal_nan=True)
    assert np.isnan(measured.spectrum[0, 7, 1])
    third = (data.antenna1 == 3) | (data.antenna2 == 3)
    assert measured.amplitude[3] == pytest.approx(np.nanmean(live[third], axis=(0, 1)), rel=1e-6)


def test_dead_antenna_is_flagged_in_its_polarization(rng):
    data = noise(rng)
    for antenna, corr in ((2, 0), (2, 1), (5, 1)):
        data.vis[(data.antenna1 == antenna) | (data.antenna2 == antenna), :, corr] *= 1e-3
    flag.flag_autos_and_edges(data, 0.0)
    alive = flag.flag_dead(data, flag.measure(data), 0.05)
    assert np.nonzero(~alive)[0].tolist() == [2]
    with_two = (data.antenna1 == 2) | (data.antenna2 == 2)
    with_five = (data.antenna1 == 5) | (data.antenna2 == 5)
    assert data.flag[with_two].all()
    assert data.flag[with_five, :, 1].all()
    assert not data.flag[data.cross & with_five & ~with_two, :, 0].any()


def test_live_antennas_are_left_alone(rng):
    data = noise(rng)
    flag.flag_autos_and_edges(data, 0.0)
    assert flag.flag_dead(data, flag.measure(data), 0.05).all()
    assert not data.flag[data.cross].any()


@pytest.mark.parametrize("source_jy", [0.0, 4.0])
def test_array_finds_interference_and_spares_the_sky(rng, source_jy):
    data = noise(rng, source_jy=source_jy, edges=True)
    index = np.unique(data.time_jd, return_inverse=True)[1]
    hit = np.zeros((TIMES, CHANNELS), bool)
    hit[:, 20] = True  # a transmitter that never stops
    hit[4, 40:52] = True  # a burst over two subbands
    phase = np.exp(2j * np.pi * rng.random(data.vis.shape))
    data.vis += (10 * hit[index][:, :, None] * phase).astype(np.complex64)
    flag.flag_autos_and_edges(data, 0.0)
    flag.flag_array(data, flag.measure(data), 6.0, 6)
    found = data.flag[data.cross].reshape(TIMES, -1, CHANNELS, 2).all((1, 3))
    some = data.flag[data.cross].reshape(TIMES, -1, CHANNELS, 2).any((1, 3))
    assert found[hit].all()
    assert some[~hit].mean() < 0.005


def test_channels_without_data_do_not_disturb_the_array(rng):
    data = noise(rng)
    data.flag[:, 30:36] = True
    flag.flag_autos_and_edges(data, 0.0)
    before = data.flag.mean()
    flag.flag_array(data, flag.measure(data), 6.0, 6)
    assert data.flag.mean() - before < 0.005


def test_clip_takes_single_spikes_only(rng):
    data = noise(rng, source_jy=3.0)
    flag.flag_autos_and_edges(data, 0.0)
    spikes = data.cross[:, None, None] & (rng.random(data.vis.shape) < 1e-3)
    data.vis[spikes] += 40
    flag.clip_amplitudes(data, 7.0)
    assert data.flag[spikes].all()
    assert (data.flag & ~spikes)[data.cross].mean() < 1e-4


def test_clip_ignores_what_is_flagged(rng):
    data = noise(rng)
    flag.flag_autos_and_edges(data, 0.0)
    data.vis[:, ::2] += 100
    data.flag[:, ::2] = True
    spike = np.nonzero(data.cross)[0][7]
    data.vis[spike, 3, 0] = 30
    flag.clip_amplitudes(data, 7.0)
    assert data.flag[spike, 3, 0]


def test_aoflagger_finds_interference(rng):
    data = noise(rng)
    data.vis[:, 20] += 30
    flag.flag_autos_and_edges(data, 0.0)
    flag.flag_aoflagger(data)
    assert data.flag[:, 20].all()
    clean = np.arange(CHANNELS) != 20
    assert data.flag[data.cross][:, clean].mean() < 0.1
