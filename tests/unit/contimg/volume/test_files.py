"""Files that are there completely or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.errors import BadConfig, ResourceExhausted
from contimg.volume.files import fsync_path, make_directory, sha256_file, write_atomic


@settings(deadline=None)  # an fsync takes what the disk takes
@given(texts=st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_the_last_text_stands_there_and_nothing_else(texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("w") / "a" / "b.json"
    for text in texts:
        write_atomic(path, text)
        with path.open(newline="") as stream:
            assert stream.read() == text
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_a_reader_never_meets_half_a_file(tmp_path, monkeypatch):
    """Until the rename the old text stands there, whatever was written under the temporary name."""
    path = tmp_path / "status.json"
    write_atomic(path, "old")
    seen = []
    replace = Path.replace

    def watched(self, target):
        seen.append((path.read_text(), self.read_text()))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    write_atomic(path, "new")
    assert seen == [("old", "new")]


def test_the_file_is_flushed_before_the_rename_and_the_directory_after(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    steps = []
    fsync, replace = os.fsync, Path.replace

    def flushed(handle):
        steps.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def renamed(self, target):
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    write_atomic(path, "x")
    assert steps == ["file", "rename", "directory"]


def test_a_full_disk_leaves_the_old_file_and_no_crumbs(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_atomic(path, "old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceExhausted, match=r"record\.json cannot be written: No space left on device; free space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_a_file_in_the_way_of_its_directory_is_told(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(BadConfig, match=r"state/groups/g\.json cannot be written: \w+"):
        write_atomic(tmp_path / "state" / "groups" / "g.json", "x")


def test_a_directory_under_the_name_is_told(tmp_path):
    (tmp_path / "g.json").mkdir()
    with pytest.raises(BadConfig, match=r"g\.json cannot be written: Is a directory"):
        write_atomic(tmp_path / "g.json", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["g.json"]


def test_make_directory_makes_all_of_it_and_leaves_no_probe(tmp_path):
    path = tmp_path / "a" / "b" / "c"
    assert make_directory(path, "a test") == path
    assert make_directory(path, "a test") == path
    assert list(path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "loop", "loop/below"])
def test_what_stands_in_the_way_is_named_with_its_purpose(place, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadConfig) as caught:
        make_directory(tmp_path / place, "CONTIMG_STAGE_BASE")
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path / place} (CONTIMG_STAGE_BASE) cannot be written: ")
    assert sentence.endswith("; choose another directory")


def test_a_directory_that_is_not_ours_to_write(tmp_path):
    """/proc refuses new names to everybody, root too."""
    with pytest.raises(BadConfig, match=r"/proc/contimg \(state\) cannot be written"):
        make_directory(Path("/proc/contimg"), "state")


@given(content=st.binary(max_size=5000))
def test_checksums_are_those_of_the_content(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(content)
    assert sha256_file(path) == hashlib.sha256(content).hexdigest()


def test_the_checksum_of_the_standard(tmp_path):
    """FIPS 180-2, appendix B.1."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_fsync_closes_what_it_opened(tmp_path):
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(5):
        fsync_path(tmp_path)
    with pytest.raises(FileNotFoundError):
        fsync_path(tmp_path / "missing")
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_full_disk_is_seen_though_it_takes_empty_files(tmp_path, monkeypatch):
    def full(self, _content):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(
        ResourceExhausted, match=r"\(CONTIMG_STATE_DIR\) cannot be written: No space left .*; free space"
    ):
        make_directory(tmp_path / "state", "CONTIMG_STATE_DIR")
    assert list((tmp_path / "state").iterdir()) == []
