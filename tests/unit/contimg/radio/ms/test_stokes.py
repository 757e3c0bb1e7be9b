from __future__ import annotations

import numpy as np
import pytest
import visibility_sim
from casacore.tables import table
from visibility_sim import Observation, random_array

from contimg.radio.coordinates import aberration
from contimg.radio.ms.read import open_recording
from contimg.radio.ms.stokes import write_ms
from contimg_image.visibilities import read_visibilities


@pytest.fixture
def small_ms(tmp_path):
    small = Observation(random_array(20, 500.0), freq_hz=1.4e9 + 5e5 * np.arange(3), noise_jy=0.02)
    return visibility_sim.write_ms(small, tmp_path / "small.ms")


@pytest.fixture
def small_recording(small_ms):
    return open_recording(small_ms)


@pytest.fixture
def small_vis(small_recording):
    return read_visibilities(small_recording, channel_average=1)


def test_exported_visibilities_are_read_back(tmp_path, small_recording):
    vis = read_visibilities(small_recording, channels="0;1~2", channel_average=2)
    vis.weight[3, 1] = 0
    write_ms(small_recording, vis, tmp_path / "out.ms")
    recording = open_recording(tmp_path / "out.ms")
    again = read_visibilities(recording, channel_average=1)
    assert (recording.telescope, recording.source) == (small_recording.telescope, small_recording.source)
    assert (recording.ra_rad, recording.dec_rad) == (small_recording.ra_rad, small_recording.dec_rad)
    assert np.array_equal(recording.positions_m, small_recording.positions_m)
    assert np.array_equal(recording.freqs_hz, vis.freq_hz)
    scale = aberration(recording.ra_rad, recording.dec_rad, float(vis.time_jd.mean()))  # taken out by every reading
    np.testing.assert_allclose(again.uvw_m, scale * vis.uvw_m, rtol=1e-9)
    for name in ("antenna1", "antenna2"):
        assert np.array_equal(getattr(again, name), getattr(vis, name))
    assert again.weight == pytest.approx(vis.weight, rel=1e-6)
    used = vis.weight > 0
    assert np.abs(again.data - vis.data)[used].max() < 1e-6
    assert again.time_jd == pytest.approx(vis.time_jd, abs=1e-9)


def test_input_is_left_alone(tmp_path, small_ms, small_recording, small_vis):
    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in small_ms.rglob("*") if path.is_file()}

    before = state()
    write_ms(small_recording, small_vis, tmp_path / "out.ms")
    assert state() == before
    with table(str(tmp_path / "out.ms"), ack=False) as opened:
        assert opened.getcol("FLAG").sum() == 0
