from __future__ import annotations

import os

import pytest

from contimg.errors import Damaged
from contimg.keeper import records
from contimg.keeper.records import read_record, stamp
from contimg.models.fact import IngestFact


def test_the_stamp_of_a_file_changes_with_it(tmp_path):
    path = tmp_path / "b.json"
    assert stamp(path) == ""
    path.write_text(IngestFact().model_dump_json())
    assert read_record(path, IngestFact) == IngestFact()
    first = stamp(path)
    path.write_text(IngestFact(scanned="2026-01-25T22:00:00").model_dump_json())
    assert stamp(path) != first
    assert stamp(path / "below") == ""


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"r.json cannot be read \(No such file or directory\); restore it"),
        (b"", r"r.json is no IngestFact: the file: .*; restore it or move it away"),
        (b'{"scanned": "yesterday"}', r"r.json is no IngestFact: scanned: .*"),
        (b'{"scanned": "0001-01-01T00:00:00Z"}', r"r.json is no IngestFact: scanned: .*is no time of a recording"),
        (b'{"colour": 1}', r"r.json is no IngestFact: colour: Extra inputs are not permitted"),
        (b"\x00\xff", r"r.json cannot be read"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(tmp_path, content, sentence):
    path = tmp_path / "r.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Damaged, match=sentence):
        read_record(path, IngestFact)


def test_what_is_no_regular_file_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "directory.json").mkdir()
    for name in ("pipe", "directory"):
        with pytest.raises(Damaged, match=rf"{name}.json cannot be read \(it is no regular file"):
            read_record(tmp_path / f"{name}.json", IngestFact)


def test_a_file_too_large_for_a_record_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RECORD_BYTES", 3)
    (tmp_path / "r.json").write_text("{  }")
    with pytest.raises(Damaged, match="larger than 3 bytes"):
        read_record(tmp_path / "r.json", IngestFact)
