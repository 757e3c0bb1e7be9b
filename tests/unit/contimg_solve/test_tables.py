from __future__ import annotations

import numpy as np
import pytest
from casacore.tables import table
from gain_bench import ANTENNAS, FREQS, TARGET, write_scan

from contimg.errors import BadInput
from contimg_solve.data import open_recording
from contimg_solve.solution import Solution
from contimg_solve.tables import Field, read_gains, write_table


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "t.ms"
    return open_recording(write_scan(path, "t", TARGET, [(*TARGET, 1.0)], np.ones((len(FREQS), 2, ANTENNAS))))


def drawn(times, channels, antennas=ANTENNAS):
    rng = np.random.default_rng(2)
    shape = (len(times), channels, 2, antennas)
    gain = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    flag = rng.random(shape) < 0.1
    fields = tuple("ab"[k % 2] for k in range(len(times)))
    snr = rng.uniform(5, 9, shape).astype(np.float32)
    return Solution(gain, flag, snr, ~flag.all((0, 1, 2)), np.array(times), np.full(len(times), 30.0), fields)


FIELDS = (Field("a", 1.0, 0.5), Field("b", 1.1, 0.6))


@pytest.mark.parametrize(("channels", "kind"), [(len(FREQS), "B Jones"), (1, "G Jones")])
def test_what_is_written_is_read_back(tmp_path, recording, channels, kind):
    made = drawn([5e9, 5e9 + 100, 5e9 + 200], channels)
    write_table(tmp_path / "t", made, recording.antennas, FIELDS, [recording])
    found = read_gains(tmp_path / "t", recording.antennas)
    for name in ("gain", "flag", "snr", "times_s", "intervals_s"):
        np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
    assert found.fields == made.fields
    with (
        table(str(tmp_path / "t"), ack=False) as opened,
        table(f"{tmp_path / 't'}::SPECTRAL_WINDOW", ack=False) as window,
    ):
        assert opened.getkeyword("VisCal") == kind
        assert opened.info()["type"] == "Calibration"
        assert window.getcol("CHAN_FREQ").shape == (1, channels)
        assert window.getcell("NUM_CHAN", 0) == channels


def test_other_order_of_names_and_absent_antennas(tmp_path, recording):
    made = drawn([5e9], 1)
    write_table(tmp_path / "t", made, recording.antennas, FIELDS, [recording])
    found = read_gains(tmp_path / "t", ("3", "nobody", "1"))
    np.testing.assert_array_equal(found.gain[..., 0], made.gain[..., 2])
    np.testing.assert_array_equal(found.gain[..., 2], made.gain[..., 0])
    assert found.flag[..., 1].all()


def test_antennas_of_several_recordings_are_joined(tmp_path, recording):
    names = (*recording.antennas, "extra")
    other = write_scan(tmp_path / "o.ms", "o", TARGET, [(*TARGET, 1.0)], np.ones((len(FREQS), 2, ANTENNAS)))
    with table(f"{other}/ANTENNA", readonly=False, ack=False) as antennas:
        antennas.putcell("NAME", 4, "extra")
        place = antennas.getcell("POSITION", 4)
    write_table(tmp_path / "t", drawn([5e9], 1, len(names)), names, FIELDS, [recording, open_recording(other)])
    with table(f"{tmp_path / 't'}::ANTENNA", ack=False) as antennas:
        assert tuple(antennas.getcol("NAME")) == names
        np.testing.assert_array_equal(antennas.getcell("POSITION", len(names) - 1), place)


def test_directory_can_be_moved(tmp_path, recording):
    write_table(tmp_path / "t", drawn([5e9], 1), recording.antennas, FIELDS, [recording])
    (tmp_path / "t").rename(tmp_path / "elsewhere")
    assert read_gains(tmp_path / "elsewhere", recording.antennas).fields == ("a",)


def test_missing_rows_are_refused(tmp_path, recording):
    write_table(tmp_path / "t", drawn([5e9, 6e9], 1), recording.antennas, FIELDS, [recording])
    with table(str(tmp_path / "t"), readonly=False, ack=False) as opened:
        opened.removerows([3])
    with pytest.raises(BadInput, match="rows"):
        read_gains(tmp_path / "t", recording.antennas)
