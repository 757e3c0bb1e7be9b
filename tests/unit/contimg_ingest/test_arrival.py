"""However the files of a night arrive, in whatever order, with whatever restarts: the same records."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvh5 import Recording, write_set

from contimg.models.observation import ObservationRecord, ObservationState
from contimg.volume.layout import Layout
from contimg_ingest.scan import Scanner

NOW = datetime(2026, 1, 26, tzinfo=UTC)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Two recordings of four subbands, as bytes."""
    top = tmp_path_factory.mktemp("night")
    small = {"integrations": 2, "names": ("1", "51"), "channels": 2, "subbands": tuple(range(4))}
    first = write_set(top / "a", Recording(**small))
    second = write_set(top / "b", Recording(start="2026-01-25T22:31:09", **small))
    paths = [*first, *second]
    return {path.name: path.read_bytes() for path in paths}


def run(night, steps, directory):
    """Play the steps: a file name arrives, ``wait`` scans a minute later, ``restart`` forgets everything."""
    top = Path(directory)
    layout = Layout(top / "stage", top)
    layout.incoming.mkdir()
    layout.state.mkdir()
    layout.ingest_rules.write_text('{"dsa110": {"expect": 4}}')

    def service():
        return Scanner(layout)

    scanner, now = service(), NOW
    for step in [*steps, "wait", "wait"]:
        now += timedelta(seconds=1)
        if step == "wait":
            now += timedelta(minutes=1)
            scanner.scan(now)
        elif step == "restart":
            scanner = service()
        else:
            (layout.incoming / step).write_bytes(night[step])
    return scanner, now


def records_of(directory):
    paths = Path(directory).glob("state/observations/*/*.json")
    found = (ObservationRecord.model_validate_json(path.read_bytes()) for path in paths)
    return sorted(found, key=lambda record: record.start)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_gives_the_same_two_records(night, data):
    names = data.draw(st.permutations(sorted(night)))
    noise = data.draw(st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["wait", "restart"])), max_size=6))
    steps = list(names)
    for place, what in noise:
        steps.insert(place, what)
    with tempfile.TemporaryDirectory() as directory:
        run(night, steps, directory)
        records = records_of(directory)
        assert [record.id for record in records] == ["2026-01-25T22:25:54", "2026-01-25T22:31:03"]
        assert all(record.state is ObservationState.SEALED for record in records)
        assert [[file.role for file in record.files] for record in records] == [[f"sb0{n}" for n in range(4)]] * 2
        assert not list(Path(directory, "state/quarantine").rglob("*.json"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_file_ends_somewhere(night, data):
    """Files that never come leave an incomplete record, late ones complete it; no file is lost, none is used twice."""
    names = data.draw(st.lists(st.sampled_from(sorted(night)), unique=True, min_size=1))
    late = data.draw(st.sets(st.sampled_from(names)))
    with tempfile.TemporaryDirectory() as directory:
        scanner, now = run(night, [name for name in names if name not in late], directory)
        scanner.scan(now + timedelta(minutes=20))
        for name in late:
            Path(directory, "incoming", name).write_bytes(night[name])
        for minutes in (21, 22, 40, 60):
            scanner.scan(now + timedelta(minutes=minutes))
        records = records_of(directory)
        assert sorted(file.path for record in records for file in record.files) == sorted(names)
        whole = {record.state is ObservationState.SEALED: len(record.files) for record in records}
        assert all((count == 4) is is_sealed for is_sealed, count in whole.items())
