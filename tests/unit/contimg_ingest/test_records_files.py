"""Observation and quarantine records on disk: what is damaged or cannot be written is told with its path."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contimg.errors import BadConfig, BadInput, Damaged
from contimg.models.observation import ObservationState, Role
from contimg_ingest.policy import Reason, Refused
from contimg_ingest.records import Maker, load_observations, load_quarantine, store, store_quarantine
from contimg_ingest.uvfits import Scan
from contimg_ingest.walk import Found, Kind

NOW = datetime(2026, 1, 26, tzinfo=UTC)


def scan(**changes):
    values = {
        "number": 3,
        "source": "3C286",
        "ra_deg": 202.78,
        "dec_deg": 30.51,
        "start_jd": 2449820.9,
        "end_jd": 2449820.91,
        "integrations": 28,
        "integration_s": 30.0,
        "telescope": "VLA",
    }
    return Scan(**(values | changes))


def record_of(tmp_path, **changes):
    maker = Maker(tmp_path, NOW, 16, lambda _path: "1000 a b")
    return maker.of_scan(tmp_path / "x.fits", scan(**changes))


def test_a_scan_becomes_a_sealed_record_of_one_file(tmp_path):
    record = record_of(tmp_path)
    assert (record.telescope, record.state, record.expected) == ("vla", ObservationState.SEALED, 1)
    assert (record.scan, record.source, record.role) == (3, "3C286", Role.BANDPASS)
    (file,) = record.files
    assert (file.path, file.role, file.bytes) == ("x.fits", "scan-3", 1000)
    assert record.bytes == 1000
    assert record.calibrators == record.next_transits == ()
    values = {figure.name: figure.value for figure in record.figures}
    assert values == {"ingest.files": 1, "ingest.bytes": 1000, "ingest.dec": 30.51, "ingest.integrations": 28}


def test_two_scans_of_one_file_are_different_raw_data(tmp_path):
    assert record_of(tmp_path).digest != record_of(tmp_path, number=4).digest


def test_an_unknown_telescope_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"telescope name 'GMRT' of the data is unknown; known are OVRO_MMA, VLA"):
        record_of(tmp_path, telescope="GMRT")


@pytest.mark.parametrize(
    ("load", "words"),
    [(load_observations, "is no observation record"), (load_quarantine, "is no quarantine record")],
)
@pytest.mark.parametrize("content", ["", "{}", '{"colour": 1}', "[]"])
def test_a_damaged_record_is_named_with_the_cure(tmp_path, load, words, content):
    (tmp_path / "2026-01-25").mkdir()
    path = tmp_path / "2026-01-25" / "x.json"
    path.write_text(content)
    with pytest.raises(Damaged, match=rf"{path} {words} \(.*\); restore or remove it"):
        list(load(tmp_path))


@pytest.mark.parametrize("load", [load_observations, load_quarantine])
def test_no_directory_means_no_records(tmp_path, load):
    assert list(load(tmp_path / "never made")) == []


def test_records_come_in_the_order_of_time(tmp_path):
    records = [record_of(tmp_path, start_jd=2449820.9 + n, end_jd=2449820.91 + n) for n in (2, 0, 1)]
    for record in records:
        store(tmp_path / "o", record)
    assert [record.start for record in load_observations(tmp_path / "o")] == sorted(r.start for r in records)


def test_a_directory_that_cannot_be_made_is_a_matter_of_configuration(tmp_path):
    (tmp_path / "o").write_text("a file")
    with pytest.raises(BadConfig, match=r"json cannot be written: Not a directory; mend that"):
        store(tmp_path / "o", record_of(tmp_path))


def test_a_quarantine_record_keeps_the_state_that_was_judged(tmp_path):
    found = Found(tmp_path / "x_sb00.hdf5", Kind.UVH5, 12, 34)
    stored = store_quarantine(tmp_path / "q", found, Refused(Reason.LATE, "it came late"), NOW, "2026-01-25")
    (kept,) = load_quarantine(tmp_path / "q")
    assert kept == stored
    assert (kept.size, kept.mtime_ns, kept.reason, kept.time) == (12, 34, Reason.LATE, NOW)


def test_the_same_file_in_another_state_is_another_record(tmp_path):
    error = Refused(Reason.EMPTY, "it is empty")
    for mtime in (1, 2, 3):
        store_quarantine(tmp_path, Found(tmp_path / "x.hdf5", Kind.UVH5, 0, mtime), error, NOW, "unknown")
    assert sorted(record.mtime_ns for record in load_quarantine(tmp_path)) == [1, 2, 3]
