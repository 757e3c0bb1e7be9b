from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from casacore.tables import table
from gain_bench import ANTENNAS, FREQS, TARGET, write_scan

from contimg.errors import BadInput
from contimg_solve.data import Recording, antenna_names, blocks, check_channels, open_recording
from contimg_solve.stefcal import accumulate, new_sums


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
    (whole,) = blocks(recording, recording.antennas)
    parts = list(blocks(recording, recording.antennas, 10_000))
    assert len(parts) == 3
    for name in ("vis", "flag", "weight", "ant1", "ant2", "time", "uvw"):
        np.testing.assert_array_equal(np.concatenate([getattr(p, name) for p in parts]), getattr(whole, name))


def test_antennas_go_by_name(path):
    recording = open_recording(path)
    names = tuple(reversed(recording.antennas))
    (block,) = blocks(recording, names)
    with table(str(path), ack=False) as main:
        np.testing.assert_array_equal(block.ant1, ANTENNAS - 1 - main.getcol("ANTENNA1"))


def test_names_of_several_recordings_keep_the_first_order(path):
    one = open_recording(path)
    other = type(one)(**(vars(one) | {"antennas": ("9", "3", "")}))
    assert antenna_names([one, other]) == (*one.antennas, "9")


def test_flag_row_flags_the_row(path):
    with table(str(path), readonly=False, ack=False) as main:
        main.putcell("FLAG_ROW", 3, True)
    recording = open_recording(path)
    (block,) = blocks(recording, recording.antennas)
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
    with pytest.raises(BadInput, match="parallel hands"):
        open_recording(path)


def test_recordings_of_other_channels_are_refused(path):
    one = open_recording(path)
    check_channels([one, one])
    other = type(one)(**(vars(one) | {"freqs_hz": FREQS + 5e5}))
    with pytest.raises(BadInput, match="different groups"):
        check_channels([one, other])
    with pytest.raises(BadInput, match="has 9 channels"):
        check_channels([one, type(one)(**(vars(one) | {"freqs_hz": FREQS[:9]}))])


def recording_of(freqs, antennas=("1", "2"), name="a"):
    times = np.array([100.0, 110.0, 120.0])
    return Recording(Path(f"{name}.ms"), name, antennas, np.asarray(freqs), times, 10.0, 0, 0, "", "VLA", (0, 1))


def test_time_runs_from_edge_to_edge():
    found = recording_of(FREQS)
    assert (found.mid_s, found.length_s) == (110.0, 30.0)


def test_one_recording_fits_itself_and_rounding_is_no_difference():
    check_channels([recording_of(FREQS)])
    check_channels([recording_of(FREQS), recording_of(FREQS + 100.0, name="b")])


@pytest.mark.parametrize("other", [FREQS + 1e5, FREQS[:-1], FREQS * 1.001])
def test_channels_that_do_not_fit_name_both_sets_and_the_cure(other):
    with pytest.raises(BadInput) as caught:
        check_channels([recording_of(FREQS), recording_of(FREQS), recording_of(other, name="b")])
    words = f"b.ms has {len(other)} channels from {other[0] / 1e6:.3f} MHz, a.ms has {len(FREQS)}"
    assert words in str(caught.value)
    assert "different groups" in str(caught.value)


def test_nameless_antennas_are_none():
    both = [recording_of(FREQS, ("3", "", "1")), recording_of(FREQS, ("2", "1", ""))]
    assert antenna_names(both) == ("3", "1", "2")


def test_antenna_of_no_name_asked_for_is_left_out(path):
    """Rows of unlisted antennas get number -1, which no sum has a place for."""
    recording = open_recording(path)
    (block,) = blocks(recording, recording.antennas[:3])
    assert set(np.unique(block.ant1)) == {-1, 0, 1, 2}
    sums = new_sums(1, 1, 2, 3)
    ones = np.ones((len(FREQS), 2, 3), np.complex64)
    model = np.ones((len(block.vis), len(FREQS)), np.complex64)
    accumulate(sums, block, model, ones, np.zeros(len(block.vis), np.int64), np.zeros(len(FREQS), np.int64))
    assert (sums.count == 4 * len(FREQS)).all()  # four integrations of each of the three pairs, and nothing else


def test_recording_without_rows_is_refused(path, tmp_path):
    with table(str(path), ack=False) as main:
        main.query("ANTENNA1 < 0").copy(str(tmp_path / "e.ms"), deep=True).close()
    with pytest.raises(BadInput, match=r"e\.ms has 1 spectral windows and data of 0 fields"):
        open_recording(tmp_path / "e.ms")
