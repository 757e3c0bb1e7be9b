from __future__ import annotations

import shutil
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
from uvh5 import Recording, channel_hz, write_set

from contimg_ingest.policy import Reason, Refused
from contimg_ingest.uvh5 import name_stamp, read_header, subband_of


@pytest.fixture
def one(subbands, tmp_path):
    return shutil.copyfile(subbands[3], tmp_path / subbands[3].name)


@pytest.mark.parametrize("layout", ["legacy", "plain"])
def test_header_of_both_layouts(tmp_path, layout):
    recording = Recording(integrations=4, names=("1", "51", "101"), channels=4, layout=layout, subbands=(6,))
    (path,) = write_set(tmp_path, recording)
    head = read_header(path)
    assert (head.telescope, head.subband, head.role) == ("OVRO_MMA", 6, "sb06")
    assert (head.integrations, head.rows, head.channels) == (4, 24, 4)
    assert head.app_dec_deg == pytest.approx(16.15)
    assert head.freq_hz == pytest.approx(channel_hz(6, 4)[0])
    assert head.step_hz == pytest.approx(-11718750 / 4)
    assert head.first_jd == pytest.approx(recording.times[0].jd, abs=1e-9)
    assert (head.end_jd - head.start_jd) * 86400 == pytest.approx(4 * 12.884902, abs=1e-3)


def test_no_visibility_is_read(one):
    """Only shapes are looked at: NaN in the data is a matter of stage convert."""
    with h5py.File(one, "a") as file:
        file["Data/visdata"][...] = np.nan
    assert read_header(one).rows == 12


def spoil(path, name, values):
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file[name] = values


@pytest.mark.parametrize(
    ("name", "values", "reason", "words"),
    [
        ("Header", None, Reason.UNREADABLE, "has no group 'Header'"),
        ("Data", None, Reason.UNREADABLE, "has no group 'Data'"),
        ("Data/visdata", None, Reason.UNREADABLE, "lacks the field 'Data/visdata'"),
        ("Header/uvw_array", None, Reason.UNREADABLE, "lacks the field 'uvw_array'"),
        ("Header/uvw_array", np.zeros((12, 2)), Reason.WRONG_SHAPE, r"uvw_array has shape \(12, 2\), not \(12, 3\)"),
        ("Header/ant_1_array", np.zeros(11), Reason.WRONG_SHAPE, r"ant_1_array has shape \(11,\), not \(12,\)"),
        ("Header/time_array", np.zeros(0), Reason.WRONG_SHAPE, "holds 0 rows"),
        ("Header/time_array", np.full(12, np.nan), Reason.UNREADABLE, "holds NaN in time_array or freq_array"),
        ("Data/flags", np.zeros((12, 3, 2)), Reason.WRONG_SHAPE, r"Data/flags has shape \(12, 3, 2\)"),
    ],
)
def test_what_is_wrong_is_named(one, name, values, reason, words):
    spoil(one, name, values)
    with pytest.raises(Refused, match=rf"sb03\.hdf5.*{words}") as caught:
        read_header(one)
    assert caught.value.reason is reason


def test_pointing_may_stand_in_the_extra_keywords(one):
    spoil(one, "Header/phase_center_app_dec", None)
    assert read_header(one).app_dec_deg == pytest.approx(16.15)
    spoil(one, "Header/extra_keywords", None)
    with pytest.raises(Refused, match="lacks 'phase_center_app_dec'"):
        read_header(one)


def test_vanished_file_is_no_fault_of_the_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "gone_sb00.hdf5")


@pytest.mark.parametrize(
    ("name", "subband"),
    [("2026-01-25T22:26:05_sb07.hdf5", 7), ("x_sb15_2.hdf5", 15), ("whole.uvh5", None), ("x_sb123.hdf5", None)],
)
def test_subband_in_the_name(name, subband):
    assert subband_of(name) == subband


def test_stamp_in_the_name():
    assert name_stamp("2026-01-25T22:26:05_sb07.hdf5") == datetime(2026, 1, 25, 22, 26, 5, tzinfo=UTC)
    assert name_stamp("2026-13-45T22:26:05_sb07.hdf5") is None
    assert name_stamp("whole.uvh5") is None
