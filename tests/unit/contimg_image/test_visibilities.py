from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from casacore.tables import makearrcoldesc, maketabdesc, table
from visibility_sim import Observation, random_array, seen_longer, simulate, write_ms

from contimg.errors import BadInput, DataQuality
from contimg.radio.ms.read import blocks, open_recording
from contimg_image import visibilities as module
from contimg_image.channels import channel_bins
from contimg_image.visibilities import average, read_visibilities


@pytest.fixture
def own_ms(small_ms, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(small_ms, tmp_path / "own.ms")


def changed(ms, **columns):
    with table(str(ms), readonly=False, ack=False) as opened:
        for name, change in columns.items():
            values = opened.getcol(name)
            change(values)
            opened.putcol(name, values)
    return read_visibilities(open_recording(ms), channel_average=1)


def test_average_is_the_weighted_mean_of_stokes_i():
    rng = np.random.default_rng(5)
    data = (rng.normal(size=(7, 6, 2)) + 1j * rng.normal(size=(7, 6, 2))).astype(np.complex64)
    weight = rng.uniform(0.5, 2, size=(7, 6, 2)).astype(np.float32)
    flag = rng.uniform(size=data.shape) < 0.2
    data[3, 2, 1] = np.nan
    bins = channel_bins([range(1, 6)], 2, 6)
    total, sums = np.zeros((7, 3), np.complex64), np.zeros((7, 3), np.float32)
    average(data, flag, weight, bins, total, sums)
    good = ~flag.any(axis=2) & np.isfinite(data).all(axis=2)
    w = np.where(good, 4 / (1 / weight[..., 0] + 1 / weight[..., 1]), 0)
    stokes_i = np.where(good, data.mean(axis=2), 0)
    for to in range(3):
        here = bins == to
        expected = w[:, here].sum(axis=1)
        assert sums[:, to] == pytest.approx(expected, rel=1e-5)
        mean = (w * stokes_i)[:, here].sum(axis=1) / np.maximum(expected, 1e-9)
        assert np.abs(total[:, to] - mean).max() < 1e-5


def test_visibilities_hold_what_was_written(tmp_path):
    obs = Observation(random_array(5, 500.0), noise_jy=0.0, times_jd=2460700.5 + np.arange(2) / 1440)
    vis = read_visibilities(open_recording(write_ms(obs, tmp_path / "x.ms")), channels="0~1;3", channel_average=2)
    uvw, data, first, second, times = simulate(obs)
    np.testing.assert_allclose(vis.uvw_m, seen_longer(obs) * uvw, atol=1e-4)
    assert np.array_equal(vis.antenna1, first)
    assert np.array_equal(vis.antenna2, second)
    assert vis.time_jd == pytest.approx(times, abs=1e-8)
    assert vis.freq_hz == pytest.approx([1.401e9, 1.406e9])
    assert np.abs(vis.data - data[:, :2]).max() < 1e-6
    assert vis.weight == pytest.approx(np.broadcast_to([4.0, 2.0], vis.weight.shape))
    assert vis.band_hz == pytest.approx((1.399e9, 1.407e9))
    assert np.diff(vis.span_jd)[0] * 86400 == pytest.approx(70.0, abs=1e-3)


def test_flags_drop_rows_and_autocorrelations_are_left_out(own_ms, small_vis):
    def autocorrelation(values):
        values[0] = 0

    def flag_rows(values):
        values[1:3] = True

    vis = changed(own_ms, ANTENNA1=autocorrelation, ANTENNA2=autocorrelation, FLAG_ROW=flag_rows)
    assert len(vis.data) == len(small_vis.data) - 3


def test_one_flagged_correlation_takes_stokes_i_away(own_ms, small_vis):
    def flag_one(values):
        values[4, 1, 0] = True

    vis = changed(own_ms, FLAG=flag_one)
    assert vis.weight[4].tolist() == [small_vis.weight[4, 0], 0, small_vis.weight[4, 2]]


def test_weight_spectrum_goes_before_weight(own_ms):
    column = maketabdesc(makearrcoldesc("WEIGHT_SPECTRUM", 0.0, ndim=2, valuetype="float"))
    with table(str(own_ms), readonly=False, ack=False) as opened:
        opened.addcols(column)
        opened.putcol("WEIGHT_SPECTRUM", np.full((opened.nrows(), 3, 2), 8, np.float32))
    vis = read_visibilities(open_recording(own_ms), channel_average=1)
    assert np.unique(vis.weight).tolist() == [16.0]


def test_short_baselines_can_be_left_out(small_recording, small_vis):
    vis = read_visibilities(small_recording, channel_average=1, min_uv_lambda=1000.0)
    length = np.hypot(vis.uvw_m[:, 0], vis.uvw_m[:, 1])[:, None] * vis.freq_hz / 299792458.0
    assert length[vis.weight > 0].min() >= 1000
    assert 0 < (vis.weight > 0).sum() < (small_vis.weight > 0).sum()


def test_progress_is_reported(small_recording):
    seen = []
    read_visibilities(small_recording, report=lambda *words: seen.append(words))
    assert seen == [(1520, 1520, "rows read")]


def test_what_leaves_nothing_to_image_is_named(own_ms):
    with pytest.raises(DataQuality, match="no unflagged visibility"):
        changed(own_ms, FLAG=lambda values: values.fill(True))


def test_three_correlations_are_refused(small_recording):
    odd = replace(small_recording, corr_types=(5, 6, 8))
    with pytest.raises(BadInput, match="has 3 correlations, Stokes I needs 2"):
        read_visibilities(odd)


def test_blocks_of_rows_make_no_difference(small_recording, small_vis, monkeypatch):
    monkeypatch.setattr(module, "blocks", lambda recording: blocks(recording, 10_000))
    parts = read_visibilities(small_recording, channel_average=1)
    for name in ("data", "weight", "uvw_m", "time_jd", "antenna1", "antenna2"):
        assert np.array_equal(getattr(parts, name), getattr(small_vis, name))
