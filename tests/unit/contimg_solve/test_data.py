from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from casacore.tables import makearrcoldesc, maketabdesc, table
from gain_bench import ANTENNAS, FREQS, TARGET, write_scan
from radio_objects import recording_of

from contimg.errors import BadInput
from contimg.radio.ms.read import open_recording
from contimg_solve.data import antenna_names, blocks, check_channels
from contimg_solve.stefcal import accumulate, new_sums


@pytest.fixture
def path(tmp_path):
    return write_scan(tmp_path / "t.ms", "t", TARGET, [(*TARGET, 1.0)], np.ones((len(FREQS), 2, ANTENNAS)))


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


def test_recordings_of_other_channels_are_refused(path):
    one = open_recording(path)
    check_channels([one, one])
    other = type(one)(**(vars(one) | {"freqs_hz": FREQS + 5e5}))
    with pytest.raises(BadInput, match="different groups"):
        check_channels([one, other])
    with pytest.raises(BadInput, match="has 9 channels"):
        check_channels([one, type(one)(**(vars(one) | {"freqs_hz": FREQS[:9]}))])


def test_one_recording_fits_itself_and_rounding_is_no_difference():
    check_channels([recording_of(FREQS)])
    check_channels([recording_of(FREQS), recording_of(FREQS + 100.0, path=Path("b.ms"))])


@pytest.mark.parametrize("other", [FREQS + 1e5, FREQS[:-1], FREQS * 1.001])
def test_channels_that_do_not_fit_name_both_sets_and_the_cure(other):
    with pytest.raises(BadInput) as caught:
        check_channels([recording_of(FREQS), recording_of(FREQS), recording_of(other, path=Path("b.ms"))])
    words = f"b.ms has {len(other)} channels from {other[0] / 1e6:.3f} MHz, a.ms has {len(FREQS)}"
    assert words in str(caught.value)
    assert "different groups" in str(caught.value)


def test_nameless_antennas_are_none():
    both = [recording_of(FREQS, antennas=("3", "", "1")), recording_of(FREQS, antennas=("2", "1", ""))]
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


def test_weights_of_channels_are_averaged(path):
    """A foreign measurement set may have a weight per channel; the solver takes one per row and hand."""
    with table(str(path), readonly=False, ack=False) as opened:
        opened.addcols(maketabdesc(makearrcoldesc("WEIGHT_SPECTRUM", 0.0, ndim=2, valuetype="float")))
        shape = opened.getcol("DATA").shape
        ramp = np.broadcast_to(np.arange(shape[1], dtype=np.float32)[:, None], shape)
        opened.putcol("WEIGHT_SPECTRUM", np.ascontiguousarray(ramp))
    recording = open_recording(path)
    (block,) = blocks(recording, recording.antennas)
    assert block.weight.shape == (shape[0], 2)
    assert (block.weight == (shape[1] - 1) / 2).all()


def test_cross_hands_are_left_out(tmp_path):
    recording = recording_of(FREQS, corr_types=(5, 6, 7, 8))
    assert recording.hands == (0, 3)
