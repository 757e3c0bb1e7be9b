from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from contimg.errors import BadConfig, BadInput
from contimg.instruments.dsa110.instrument import INSTRUMENT
from contimg.models.instrument import instrument
from contimg.models.survey import FileSetRules


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("2026-01-25T22:26:05_sb00.hdf5", True),
        ("20260125t222600z.uvh5", True),
        ("x.H5", True),
        ("NGC5921.fits", False),
        ("2026-01-25T22:26:05_sb00_incomplete.hdf5", False),
        ("2026-01-25T22:26:05_sb00_spl.hdf5", False),
        ("truth.json", False),
    ],
)
def test_files_are_recognised_by_name(name, ours):
    assert INSTRUMENT.recognise(Path(name), b"") is ours


def test_a_name_hints_at_role_and_time():
    hint = INSTRUMENT.hint(Path("2026-01-25T22:26:05_sb07.hdf5"))
    assert (hint.role, hint.time) == ("sb07", datetime(2026, 1, 25, 22, 26, 5, tzinfo=UTC))
    assert INSTRUMENT.hint(Path("2026-01-25T22:26:05.uvh5")).role == "all"
    assert INSTRUMENT.hint(Path("whole.uvh5")) is None


def test_sixteen_files_are_one_set_and_the_survey_may_say_otherwise(subbands):
    pieces = [piece for path in reversed(subbands) for piece in INSTRUMENT.read(path)]
    (whole,) = INSTRUMENT.gather(pieces, FileSetRules())
    assert (len(whole.pieces), whole.missing, whole.least) == (16, (), 16)
    (fewer,) = INSTRUMENT.gather(pieces[1:], FileSetRules(min=12))
    assert (fewer.missing, fewer.least) == (("sb15",), 12)
    (small,) = INSTRUMENT.gather(pieces, FileSetRules(expect=8))
    assert (len(small.pieces), len(small.refused), small.least) == (8, 8, 8)


def test_the_description_has_the_apparent_declination_and_the_meridian(subbands):
    (files,) = INSTRUMENT.gather([piece for path in subbands for piece in INSTRUMENT.read(path)], FileSetRules())
    said = INSTRUMENT.describe(files)
    assert said.id == "2026-01-25T22:25:54"
    assert said.date == "2026-01-25"
    assert said.dec_deg == pytest.approx(16.15, abs=1e-9)
    assert (said.end - said.start).total_seconds() == pytest.approx(2 * 12.884902, abs=1e-3)
    assert said.start == datetime(2026, 1, 25, 22, 25, 53, 558000, tzinfo=UTC)
    assert said.integrations == 2
    values = {figure.name: figure.value for figure in said.figures}
    assert np.isclose(values["ingest.dec"], 16.15)
    assert said.next_transits


def test_the_declination_of_a_record_does_not_move_within_a_day(tmp_path):
    """At one pointing ICRS declination moves by up to 0.15 degrees, which would break an unbroken day twice."""
    from uvh5 import Recording, write_set  # noqa: PLC0415

    found = []
    for hour in range(0, 24, 6):
        recording = Recording(start=f"2026-01-25T{hour:02d}:26:00", integrations=2, names=("1", "51"), subbands=(0,))
        (path,) = write_set(tmp_path / str(hour), recording)
        (files,) = INSTRUMENT.gather(INSTRUMENT.read(path), FileSetRules(expect=1))
        found.append((INSTRUMENT.describe(files).dec_deg, recording.centre().dec.deg))
    apparent, icrs = np.array(found).T
    assert np.ptp(apparent) < 1e-9
    assert np.ptp(icrs) > 0.1


def test_a_file_that_is_none_says_so(tmp_path):
    path = tmp_path / "2026-01-25T22:26:05_sb07.hdf5"
    path.write_bytes(b"no hdf5" * 100)
    with pytest.raises(BadInput, match="is no HDF5 file"):
        INSTRUMENT.read(path)


def test_the_simulator_is_found_through_the_instrument(tmp_path):
    sentence = instrument("dsa110").simulate(tmp_path / "out", "tiny")
    assert str(tmp_path / "out" / "truth.json") in sentence
    assert list((tmp_path / "out").glob("*_sb00.hdf5"))


def test_a_preset_or_place_that_cannot_be_is_told(tmp_path):
    with pytest.raises(BadConfig, match="tiny"):
        INSTRUMENT.simulate(tmp_path / "out", "tny")
    (tmp_path / "file").write_text("a file")
    with pytest.raises(BadConfig, match="file"):
        INSTRUMENT.simulate(tmp_path / "file", "tiny")
