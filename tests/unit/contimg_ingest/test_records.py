from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contimg.errors import BadConfig, BadInput
from contimg.models.instrument import FileSet
from contimg.models.observation import ObservationRecord, ObservationState, RawFile
from contimg.volume.layout import Layout
from contimg_ingest.records import Observations, Quarantine
from contimg_ingest.walk import Found

START = datetime(2026, 1, 25, 23, 59, 59, 800000, tzinfo=UTC)
NOW = datetime(2026, 1, 26, 1, tzinfo=UTC)


def record_of(start=START, state=ObservationState.SEALED, **changes):
    values = {
        "id": f"{start + timedelta(seconds=0.5):%Y-%m-%dT%H:%M:%S}",
        "instrument": "dsa110",
        "start": start,
        "end": start + timedelta(minutes=5),
        "integrations": 24,
        "integration_s": 12.9,
        "ra_deg": 10.0,
        "dec_deg": 16.15,
        "state": state,
        "files": (RawFile(path="2026-01-25/x_sb00.hdf5", role="sb00", bytes=100, digest="d"),),
        "digest": "d",
        "bytes": 100,
        "sealed_at": NOW,
    }
    return ObservationRecord(**(values | changes))


def found_of(name="2026-01-25/x_sb00.hdf5", size=100, root=0, mtime_ns=1):
    return Found(Path("/in") / name, root, name, size, mtime_ns, mtime_ns)


def set_of(start=START, tolerance_s=6.4, identity="2026-01-26T00:00:00"):
    return FileSet(identity, start, (), ("sb00",), 1, tolerance_s)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "stage", tmp_path)


@pytest.fixture
def observations(layout):
    return Observations(layout)


def test_a_record_lies_under_the_date_of_its_data_whatever_its_id_says(layout, observations):
    record = record_of()
    observations.store(record)
    path = layout.observations / "2026-01-25" / "2026-01-26T00:00:00.json"
    assert ObservationRecord.model_validate_json(path.read_bytes()) == record


def test_a_file_is_found_by_root_path_and_size_near_its_time(observations):
    observations.store(record_of())
    assert observations.uses(found_of(), START + timedelta(minutes=59))
    assert observations.uses(found_of(), START - timedelta(minutes=59))
    assert not observations.uses(found_of(), NOW + timedelta(days=2)), "only the dates of the name are looked at"
    assert not observations.uses(found_of(size=101), START)
    assert not observations.uses(found_of(root=1), START)
    assert not observations.uses(found_of("other.hdf5"), START)


def test_the_same_recording_is_found_by_id_or_by_its_start(observations):
    record = record_of()
    observations.store(record)
    assert observations.of("dsa110", set_of()) == record
    assert observations.of("dsa110", set_of(START + timedelta(seconds=6), identity="2026-01-26T00:00:06")) == record
    assert observations.of("dsa110", set_of(START + timedelta(seconds=7), identity="2026-01-26T00:00:07")) is None
    assert observations.of("vla", set_of()) is None, "another telescope may look at the same time"


def test_a_record_is_written_once_and_an_incomplete_one_replaced(layout, observations):
    first = record_of(state=ObservationState.INCOMPLETE)
    observations.store(first)
    second = record_of(reasons=("whole",))
    observations.store(second, first)
    assert Observations(layout).of("dsa110", set_of()) == second
    assert not list(layout.observations.glob("*/.*"))


def test_records_of_another_process_are_seen(layout, observations):
    assert observations.of("dsa110", set_of()) is None
    Observations(layout).store(record_of())
    assert observations.of("dsa110", set_of()) == record_of()


def test_only_the_dates_asked_for_are_read(layout, observations):
    """The history may be long and partly damaged: a start does not look at it."""
    (layout.observations / "2020-01-01").mkdir(parents=True)
    (layout.observations / "2020-01-01" / "x.json").write_text("{}")
    observations.of("dsa110", set_of())
    assert observations.problems == []
    observations.uses(found_of(), datetime(2020, 1, 1, 12, tzinfo=UTC))
    assert "x.json is no observation record" in observations.problems[0]
    assert "restore or remove it" in observations.problems[0]


def test_a_directory_that_cannot_be_made_is_a_matter_of_configuration(layout, observations):
    layout.state.mkdir()
    layout.observations.write_text("a file")
    with pytest.raises(BadConfig, match=r"json cannot be written: (Not a directory|File exists); mend that"):
        observations.store(record_of())


def test_a_quarantine_record_keeps_the_state_that_was_judged(tmp_path):
    quarantine = Quarantine(tmp_path)
    found = found_of("x_sb00.hdf5", 12, mtime_ns=34)
    stored = quarantine.store(found, BadInput("it came late", reason="late"), NOW, "2026-01-25", "dsa110")
    assert quarantine.known(found, "2026-01-25") == stored
    assert (stored.size, stored.mtime_ns, stored.reason, stored.time) == (12, 34, "late", NOW)
    assert stored.instrument == "dsa110"
    assert quarantine.known(found_of("x_sb00.hdf5", 12, mtime_ns=35), "2026-01-25") is None
    assert (tmp_path / "2026-01-25/x_sb00.hdf5.json").is_file()


def test_every_state_of_a_file_and_every_file_of_a_name_has_its_record(tmp_path):
    quarantine = Quarantine(tmp_path)
    states = [found_of("a/x.hdf5", 0, mtime_ns=n) for n in (1, 2, 3)] + [found_of("b/x.hdf5", 0)]
    for found in states:
        quarantine.store(found, BadInput(f"{found.path} is empty", reason="empty"), NOW, "unknown")
    kept = [quarantine.known(found, "unknown") for found in states]
    assert [record.mtime_ns for record in kept] == [1, 2, 3, 1]
    assert kept[3].sentence == "/in/b/x.hdf5 is empty"


def test_a_name_as_long_as_names_get_still_has_a_record(tmp_path):
    found = found_of("é" * 120 + ".hdf5")
    Quarantine(tmp_path).store(found, BadInput("bad"), NOW, "unknown")
    assert Quarantine(tmp_path).known(found, "unknown").path == str(found.path)


def test_a_damaged_quarantine_record_is_written_again(tmp_path):
    found = found_of("x.hdf5")
    quarantine = Quarantine(tmp_path)
    quarantine.store(found, BadInput("bad"), NOW, "unknown")
    (tmp_path / "unknown/x.hdf5.json").write_text("{")
    assert quarantine.known(found, "unknown") is None
    quarantine.store(found, BadInput("bad"), NOW, "unknown")
    assert quarantine.known(found, "unknown").sentence == "bad"
