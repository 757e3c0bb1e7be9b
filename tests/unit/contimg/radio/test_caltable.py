from __future__ import annotations

import numpy as np
import pytest
from casacore.tables import table
from gain_bench import ANTENNAS, FREQS, TARGET, write_scan

from contimg.errors import BadInput
from contimg.radio import caltable
from contimg.radio.caltable import CalTable, Field
from contimg.radio.ms.read import open_recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "t.ms"
    return open_recording(write_scan(path, "t", TARGET, [(*TARGET, 1.0)], np.ones((len(FREQS), 2, ANTENNAS))))


FIELDS = (Field("a", 1.0, 0.5), Field("b", 1.1, 0.6))


def drawn(times, channels, names=None):
    names = tuple(str(k + 1) for k in range(ANTENNAS)) if names is None else names
    rng = np.random.default_rng(2)
    shape = (len(times), channels, 2, len(names))
    return CalTable(
        antennas=names,
        gain=(rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64),
        flag=rng.random(shape) < 0.1,
        snr=rng.uniform(5, 9, shape).astype(np.float32),
        times_s=np.array(times),
        intervals_s=np.full(len(times), 30.0),
        slot_fields=np.arange(len(times), dtype=np.int32) % 2,
        fields=FIELDS,
        freqs_hz=FREQS if channels > 1 else np.array([FREQS.mean()]),
    )


@pytest.mark.parametrize(("channels", "kind"), [(len(FREQS), "B Jones"), (1, "G Jones")])
def test_what_is_written_is_read_back(tmp_path, recording, channels, kind):
    made = drawn([5e9, 5e9 + 100, 5e9 + 200], channels)
    caltable.write(tmp_path / "t", made, [recording])
    found = caltable.read(tmp_path / "t")
    for name in ("gain", "flag", "snr", "times_s", "intervals_s", "slot_fields", "freqs_hz"):
        np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
    assert (found.fields, found.antennas) == (made.fields, made.antennas)
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
    caltable.write(tmp_path / "t", made, [recording])
    found = caltable.read(tmp_path / "t").of(("3", "nobody", "1"))
    np.testing.assert_array_equal(found.gain[..., 0], made.gain[..., 2])
    np.testing.assert_array_equal(found.gain[..., 2], made.gain[..., 0])
    assert found.flag[..., 1].all()
    assert (found.gain[..., 1] == 1).all()
    assert found.antennas == ("3", "nobody", "1")


def test_antennas_of_several_recordings_are_joined(tmp_path, recording):
    names = (*recording.antennas, "extra")
    other = write_scan(tmp_path / "o.ms", "o", TARGET, [(*TARGET, 1.0)], np.ones((len(FREQS), 2, ANTENNAS)))
    with table(f"{other}/ANTENNA", readonly=False, ack=False) as antennas:
        antennas.putcell("NAME", 4, "extra")
        place = antennas.getcell("POSITION", 4)
    caltable.write(tmp_path / "t", drawn([5e9], 1, names), [recording, open_recording(other)])
    with table(f"{tmp_path / 't'}::ANTENNA", ack=False) as antennas:
        assert tuple(antennas.getcol("NAME")) == names
        np.testing.assert_array_equal(antennas.getcell("POSITION", len(names) - 1), place)


def test_directory_can_be_moved(tmp_path, recording):
    caltable.write(tmp_path / "t", drawn([5e9], 1), [recording])
    (tmp_path / "t").rename(tmp_path / "elsewhere")
    assert caltable.read(tmp_path / "elsewhere").fields == FIELDS


def test_table_that_lost_rows_is_named_with_the_cure(tmp_path, recording):
    """Also one whose rows are as many as they should be, of which one antenna has two and another none."""
    caltable.write(tmp_path / "t", drawn([5e9, 6e9], 1), [recording])
    with table(str(tmp_path / "t"), readonly=False, ack=False) as opened:
        opened.putcell("ANTENNA1", 3, 2)
    words = rf"{tmp_path / 't'} has unequal numbers of rows per antenna; solve it again"
    with pytest.raises(BadInput, match=words):
        caltable.read(tmp_path / "t")
    with table(str(tmp_path / "t"), readonly=False, ack=False) as opened:
        opened.removerows([3])
    with pytest.raises(BadInput, match=words):
        caltable.read(tmp_path / "t")


def test_what_is_no_table_is_named(tmp_path):
    with pytest.raises(BadInput, match="is no calibration table"):
        caltable.read(tmp_path)


def test_solutions_of_an_antenna_have_its_own_times(tmp_path, recording):
    """CASA writes the mean time of each antenna's data; the slot has their median."""
    caltable.write(tmp_path / "t", drawn([5e9, 6e9], 1), [recording])
    with table(str(tmp_path / "t"), readonly=False, ack=False) as opened:
        opened.putcell("TIME", 0, 5e9 + 3)
    assert caltable.read(tmp_path / "t").times_s.tolist() == [5e9, 6e9]
