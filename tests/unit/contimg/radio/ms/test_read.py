from __future__ import annotations

import numpy as np
import pytest
from casacore.tables import makearrcoldesc, maketabdesc, table
from gain_bench import ANTENNAS, FREQS, TARGET, write_scan
from radio_objects import recording_of
from visibility_sim import Observation, random_array, write_ms

from contimg.errors import BadInput
from contimg.radio.ms.read import blocks, open_recording


@pytest.fixture
def path(tmp_path):
    return write_scan(tmp_path / "t.ms", "t", TARGET, [(*TARGET, 1.0)], np.ones((len(FREQS), 2, ANTENNAS)))


def test_subtables_are_read(path):
    found = open_recording(path, "unit")
    assert found.unit == "unit"
    assert found.antennas == tuple(str(k + 1) for k in range(ANTENNAS))
    assert found.hands == (0, 1)
    assert found.telescope == "VLA"
    assert np.degrees([found.ra_rad, found.dec_rad]) == pytest.approx(TARGET)
    assert found.length_s == pytest.approx(40.0)
    assert found.mid_s == pytest.approx(found.times_s.mean())


def test_blocks_join_to_the_whole(path):
    recording = open_recording(path)
    (whole,) = blocks(recording)
    parts = list(blocks(recording, 10_000))
    assert [part.start for part in parts] == [0, *np.cumsum([len(part.vis) for part in parts])[:-1]]
    assert {part.rows for part in parts} == {len(whole.vis)}
    assert len(parts) == 3
    for name in ("vis", "flag", "weight", "ant1", "ant2", "time", "uvw"):
        np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(whole, name))


def test_flag_row_flags_the_row(path):
    with table(str(path), readonly=False, ack=False) as main:
        main.putcell("FLAG_ROW", 3, True)
    recording = open_recording(path)
    (block,) = blocks(recording)
    assert block.flag[3].all()
    assert not block.flag[4].any()


def test_uneven_channels_are_refused(path):
    with table(f"{path}/SPECTRAL_WINDOW", readonly=False, ack=False) as window:
        window.putcol("CHAN_FREQ", (FREQS * (1 + 1e-3 * (np.arange(len(FREQS)) > 8)))[None])
    with pytest.raises(BadInput, match="CHAN_FREQ"):
        open_recording(path)


def test_two_fields_are_refused(path):
    with table(str(path), readonly=False, ack=False) as main:
        main.putcell("FIELD_ID", 0, 1)
    with pytest.raises(BadInput, match="2 fields"):
        open_recording(path)


def test_one_hand_alone_is_refused(path):
    with table(f"{path}/POLARIZATION", readonly=False, ack=False) as polarization:
        polarization.putcell("CORR_TYPE", 0, np.array([5, 6], np.int32))
    recording = open_recording(path)
    with pytest.raises(BadInput, match="parallel hands"):
        recording.hands  # noqa: B018 - a property that raises


def test_recording_without_rows_is_refused(path, tmp_path):
    with table(str(path), ack=False) as main:
        main.query("ANTENNA1 < 0").copy(str(tmp_path / "e.ms"), deep=True).close()
    with pytest.raises(BadInput, match=r"e\.ms has 1 spectral windows and data of 0 fields"):
        open_recording(tmp_path / "e.ms")


def test_time_runs_from_edge_to_edge():
    found = recording_of(FREQS)
    assert (found.mid_s, found.length_s) == (110.0, 30.0)


def test_what_was_written_is_described(tmp_path):
    obs = Observation(random_array(5, 500.0), freq_hz=1.4e9 + 5e5 * np.arange(3))
    found = open_recording(write_ms(obs, tmp_path / "x.ms"))
    assert (found.telescope, found.source, found.unit) == ("VLA", "test field", "x")
    assert np.degrees([found.ra_rad, found.dec_rad]) == pytest.approx([150.0, 34.0], abs=1e-9)
    assert found.positions_m.shape == (5, 3)
    assert found.width_hz == pytest.approx(5e5)


def test_j2000_field_is_turned_to_icrs(tmp_path):
    """For every stage; once solve and apply took J2000 for ICRS, the imager did not."""
    found = open_recording(write_ms(Observation(random_array(4, 300.0), frame="J2000"), tmp_path / "j.ms"))
    east, north = (np.degrees(found.ra_rad) - 150) * np.cos(np.radians(34)), np.degrees(found.dec_rad) - 34
    assert 0.001 < np.hypot(east, north) * 3600 < 0.05


@pytest.mark.parametrize(
    ("types", "wanted"), [([5, 8], ([0, 1], [0, 1])), ([9, 10, 11, 12], ([0, 0, 1, 1], [0, 1, 0, 1]))]
)
def test_correlations_of_either_feed_find_their_receptors(types, wanted):
    found = recording_of(corr_types=tuple(types))
    assert tuple(each.tolist() for each in found.receptors) == wanted
    assert found.hands == (0, len(types) - 1)


def test_stokes_parameters_are_refused(path):
    with table(f"{path}/POLARIZATION", readonly=False, ack=False) as opened:
        opened.putcol("CORR_TYPE", np.array([[1, 4]], np.int32))
    with pytest.raises(BadInput, match=r"correlations \[1, 4\] are not of linear or circular feeds"):
        open_recording(path)


def test_weight_spectrum_goes_before_weight(path):
    assert next(blocks(open_recording(path))).weight.shape[1] == 1
    with table(str(path), readonly=False, ack=False) as opened:
        opened.addcols(maketabdesc(makearrcoldesc("WEIGHT_SPECTRUM", 0.0, ndim=2, valuetype="float")))
        opened.putcol("WEIGHT_SPECTRUM", np.full(opened.getcol("DATA").shape, 8, np.float32))
    (block,) = blocks(open_recording(path))
    assert block.weight.shape == block.vis.shape
    assert (block.weight == 8).all()


def test_wrong_input_is_named(tmp_path, path):
    with pytest.raises(BadInput, match=r"no table\.dat"):
        open_recording(tmp_path)
    with pytest.raises(BadInput, match="PHASE_DIR in B1950"):
        open_recording(write_ms(Observation(random_array(4, 300.0), frame="B1950"), tmp_path / "b.ms"))
    with table(str(path), readonly=False, ack=False) as opened:
        opened.removecols(["DATA"])
    with pytest.raises(BadInput, match="lacks column DATA"):
        next(blocks(open_recording(path)))
    with table(f"{path}/SPECTRAL_WINDOW", readonly=False, ack=False) as opened:
        opened.addrows(1)
    with pytest.raises(BadInput, match="2 spectral windows"):
        open_recording(path)


def test_read_only_directories_are_read(path):
    for each in (path, *path.rglob("*")):
        each.chmod(0o555 if each.is_dir() else 0o444)
    assert len(next(blocks(open_recording(path))).vis)
    for each in (path, *path.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
