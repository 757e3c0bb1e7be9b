from __future__ import annotations

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
from uvh5 import Recording, channel_hz, write_set

from contimg.errors import BadInput
from contimg.radio.uvh5.read import name_stamp, read_data, read_full_header, read_header, subband_of


@pytest.fixture
def one(tmp_path):
    return write_set(tmp_path, Recording(integrations=2, names=("1", "51", "101"), channels=2, subbands=(3,)))[0]


@pytest.mark.parametrize("layout", ["legacy", "plain"])
def test_header_of_both_layouts(tmp_path, layout):
    recording = Recording(integrations=4, names=("1", "51", "101"), channels=4, layout=layout, subbands=(6,))
    (path,) = write_set(tmp_path, recording)
    head = read_header(path, 16)
    assert (head.telescope, head.subband, head.role) == ("OVRO_MMA", 6, "sb06")
    assert (head.integrations, head.rows, head.channels) == (4, 24, 4)
    assert head.app_dec_deg == pytest.approx(16.15)
    assert head.freq_hz == pytest.approx(channel_hz(6, 4)[0])
    assert head.first_jd == pytest.approx(recording.times[0].jd, abs=1e-9)
    assert (head.end_jd - head.start_jd) * 86400 == pytest.approx(4 * 12.884902, abs=1e-3)


def test_no_visibility_is_read(one):
    """Only shapes are looked at: NaN in the data is a matter of stage convert."""
    with h5py.File(one, "a") as file:
        file["Data/visdata"][...] = np.nan
    assert read_header(one, 16).rows == 12


def spoil(path, name, values):
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file[name] = values


@pytest.mark.parametrize(
    ("name", "values", "reason", "words"),
    [
        ("Header", None, "unreadable", "has no group 'Header'"),
        ("Data", None, "unreadable", "has no group 'Data'"),
        ("Data/visdata", None, "unreadable", "lacks the field 'Data/visdata'"),
        ("Header/uvw_array", None, "unreadable", "lacks the field 'uvw_array'"),
        ("Header/uvw_array", np.zeros((12, 2)), "wrong-shape", r"uvw_array has shape \(12, 2\), not \(12, 3\)"),
        ("Header/ant_1_array", np.zeros(11), "wrong-shape", r"ant_1_array has shape \(11,\), not \(12,\)"),
        ("Header/time_array", np.zeros(0), "wrong-shape", "holds 0 rows"),
        ("Header/time_array", np.full(12, np.nan), "out-of-bounds", "Header/time_array holds nan d, not 2.43328e"),
        ("Data/flags", np.zeros((12, 3, 2)), "wrong-shape", r"Data/flags has shape \(12, 3, 2\)"),
    ],
)
def test_what_is_wrong_is_named(one, name, values, reason, words):
    spoil(one, name, values)
    with pytest.raises(BadInput, match=rf"sb03\.hdf5.*{words}") as caught:
        read_header(one, 16)
    assert caught.value.reason == reason


def test_pointing_may_stand_in_the_extra_keywords(one):
    spoil(one, "Header/phase_center_app_dec", None)
    assert read_header(one, 16).app_dec_deg == pytest.approx(16.15)
    spoil(one, "Header/extra_keywords", None)
    with pytest.raises(BadInput, match="lacks 'phase_center_app_dec'"):
        read_header(one, 16)


def test_vanished_file_is_no_fault_of_the_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "gone_sb00.hdf5", 16)


@pytest.mark.parametrize(
    ("name", "subband"),
    [
        ("2026-01-25T22:26:05_sb07.hdf5", 7),
        ("x_sb15_2.hdf5", 15),
        ("whole.uvh5", None),
        ("x_sb99.hdf5", 99),
        ("x_sb123.hdf5", 123),
    ],
)
def test_subband_in_the_name(name, subband):
    assert subband_of(name) == subband


def test_stamp_in_the_name():
    assert name_stamp("2026-01-25T22:26:05_sb07.hdf5") == datetime(2026, 1, 25, 22, 26, 5, tzinfo=UTC)
    assert name_stamp("2026-13-45T22:26:05_sb07.hdf5") is None
    assert name_stamp("whole.uvh5") is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("time_array", 0.0, "Header/time_array holds 0 d, not"),
        ("time_array", 1e300, r"Header/time_array holds 1e\+300 d, not"),
        ("time_array", np.inf, "Header/time_array holds inf d, not"),
        ("integration_time", 0.0, "Header/integration_time holds 0 s, not"),
        ("integration_time", np.nan, "Header/integration_time holds nan s, not"),
        ("integration_time", 1e300, r"Header/integration_time holds 1e\+300 s, not"),
        ("integration_time", -12.9, "Header/integration_time holds -12.9 s, not"),
        ("freq_array", 0.0, "Header/freq_array holds 0 Hz, not"),
        ("phase_center_app_dec", 16.15, "Header/phase_center_app_dec holds 16.15 rad, not -1.5708 to 1.5708"),
    ],
)
def test_numbers_out_of_bounds_are_named(one, name, value, words):
    with h5py.File(one) as file:
        values = np.full(file[f"Header/{name}"].shape, value)
    spoil(one, f"Header/{name}", values)
    with pytest.raises(BadInput, match=rf"sb03\.hdf5: {words}") as caught:
        read_header(one, 16)
    assert caught.value.reason == "out-of-bounds"


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("uvw_array", np.full((12, 3), 1e9), r"uvw_array holds 1000000000 m"),
        ("antenna_positions", np.full((117, 3), np.nan), "antenna_positions holds nan m"),
        ("channel_width", 0.0, "channel_width holds 0 Hz"),
        ("latitude", 100.0, "latitude holds 100 deg"),
        ("ant_1_array", np.full(12, 5000), "a baseline has antenna 5000, which antenna_numbers lacks"),
        ("polarization_array", [1, 2], r"polarizations \(1, 2\) are not among"),
        ("polarization_array", [-5, -5], r"polarizations \(-5, -5\) are not among"),
    ],
)
def test_what_only_convert_needs_is_checked_by_the_full_header(one, name, values, words):
    spoil(one, f"Header/{name}", values)
    assert read_header(one, 16).subband == 3
    with pytest.raises(BadInput, match=words):
        read_full_header(one, 16)


@pytest.mark.parametrize("subbands", [1, 3])
def test_subband_number_must_be_below_their_count(one, subbands):
    assert read_header(one, 4).subband == 3
    with pytest.raises(BadInput, match=f"its name says subband 3, a full set has {subbands}") as caught:
        read_header(one, subbands)
    assert caught.value.reason == "out-of-bounds"


def test_full_header_says_the_same_and_more(one):
    head, full = read_header(one, 16), read_full_header(one, 16)
    assert all(getattr(full, name) == value for name, value in vars(head).items())
    assert (full.time_jd.min(), full.channel_hz[0]) == (head.first_jd, head.freq_hz)
    assert full.number1.shape == full.interval_s.shape == (head.rows,)


def test_data_of_another_shape_is_refused(one):
    head = read_header(one, 16)
    buffers = (np.zeros((12, 2, 1), np.complex64), np.zeros((12, 2, 1), np.int8), np.zeros((12, 2, 1), np.float32))
    with pytest.raises(BadInput, match=r"/Data/visdata has shape \(12, 1, 2, 2\), not \(12, 2, 1\)"):
        read_data(head, *buffers)
