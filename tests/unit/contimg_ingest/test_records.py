from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contimg.models.observation import ObservationState
from contimg_ingest import digest
from contimg_ingest.cluster import inspect
from contimg_ingest.policy import IngestPolicy, Reason, Refused
from contimg_ingest.records import Maker, load_observations, load_quarantine, store, store_quarantine
from contimg_ingest.uvh5 import read_header
from contimg_ingest.walk import Found, Kind

NOW = datetime(2026, 1, 26, tzinfo=UTC)


@pytest.fixture
def record(subbands):
    found = inspect([read_header(path) for path in subbands], IngestPolicy(), digest.content)
    return Maker(subbands[0].parent, NOW, 16, digest.content).of_set(found, ObservationState.SEALED, ("why",))


def test_round_trip_and_never_changed(record, tmp_path):
    path = store(tmp_path, record)
    store(tmp_path, record.model_copy(update={"reasons": ("other",)}))
    assert list(load_observations(tmp_path)) == [record]
    assert not list(path.parent.glob(".*"))


def test_times_are_of_the_edges_to_the_millisecond(record):
    assert (record.end - record.start).total_seconds() == pytest.approx(2 * 12.884902, abs=1e-3)
    assert record.start.microsecond % 1000 == 0
    assert record.start == datetime(2026, 1, 25, 22, 25, 53, 558000, tzinfo=UTC)


def test_digests_follow_the_definition(record, subbands):
    first = record.files[0]
    assert first.digest == digest.of_file("sb00", digest.content(subbands[0]))
    assert record.digest == digest.of_set([file.digest for file in record.files])


def test_file_outside_incoming_keeps_its_path(subbands, tmp_path):
    found = inspect([read_header(path) for path in subbands], IngestPolicy(), digest.content)
    record = Maker(tmp_path, NOW, 16, digest.content).of_set(found, ObservationState.SEALED, ())
    assert record.files[0].path == str(subbands[0])


def test_two_refused_files_of_one_name_are_both_on_record(tmp_path):
    for directory in ("a", "b"):
        found = Found(tmp_path / directory / "x_sb00.hdf5", Kind.UVH5, 1, 2)
        store_quarantine(tmp_path / "q", found, Refused(Reason.EMPTY, f"{directory} is empty"), NOW, "unknown")
    kept = list(load_quarantine(tmp_path / "q"))
    assert sorted(record.sentence for record in kept) == ["a is empty", "b is empty"]
    assert (tmp_path / "q/unknown/x_sb00.hdf5.json").is_file()
