from __future__ import annotations

import resource

import pytest

from contimg.errors import Damaged, ResourceExhausted
from contimg.keeper.records import read_record, stamp, write_record
from contimg.models.fact import IngestFact


def test_a_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a" / "b.json"
    assert stamp(path) == ""
    write_record(path, IngestFact().model_dump_json())
    assert read_record(path, IngestFact) == IngestFact()
    first = stamp(path)
    write_record(path, IngestFact(scanned="2026-01-25T22:00:00").model_dump_json())
    assert stamp(path) != first
    assert [item.name for item in path.parent.iterdir()] == ["b.json"]


def test_what_lies_below_a_file_has_no_stamp(tmp_path):
    (tmp_path / "f").touch()
    assert stamp(tmp_path / "f" / "x") == ""


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"r.json cannot be read \(No such file or directory\); restore it"),
        ("", r"r.json is no IngestFact: the file: .*; restore it, or move it away and scan again"),
        ('{"scanned": "yesterday"}', r"r.json is no IngestFact: scanned: .*"),
        ('{"colour": 1}', r"r.json is no IngestFact: colour: Extra inputs are not permitted"),
        ("\x00\xff", r"r.json is no IngestFact"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(tmp_path, content, sentence):
    path = tmp_path / "r.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Damaged, match=sentence):
        read_record(path, IngestFact)


def test_a_record_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "d").touch()
    with pytest.raises(ResourceExhausted, match=r"d/r.json \(4 bytes\) cannot be written: .*mend its permissions"):
        write_record(tmp_path / "d" / "r.json", "1234")


def test_a_disk_that_takes_no_more_is_named_and_the_old_record_stays(tmp_path):
    path = tmp_path / "r.json"
    write_record(path, "{}")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2, before[1]))
    try:
        with pytest.raises(ResourceExhausted, match=r"r.json \(3 bytes\) cannot be written: File too large;"):
            write_record(path, "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "{}"
