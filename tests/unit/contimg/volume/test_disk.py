"""Files that are there completely or not at all, names that move in one step, and what a power cut leaves."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.errors import BadConfig, BadInput, ResourceExhausted
from contimg.volume import disk


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "a").write_text("one")
    (root / "b" / "c").write_text("three")
    (root / "link").symlink_to("a")
    return root


# -- writing ---------------------------------------------------------------------------------


@settings(deadline=None)  # an fsync takes what the disk takes
@given(texts=st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_the_last_text_stands_there_and_nothing_else(texts, tmp_path_factory):
    path = tmp_path_factory.mktemp("w") / "a" / "b.json"
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    for text in texts:
        disk.write(path, text)
        assert path.read_bytes().decode() == text
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_directories_that_are_made_on_the_way_outlast_a_power_cut(tmp_path, monkeypatch):
    flushed, real = [], disk._sync
    monkeypatch.setattr(disk, "_sync", lambda path: (flushed.append(Path(path)), real(path)))
    disk.write(tmp_path / "a" / "b" / "c.json", "text")
    assert flushed == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    flushed.clear()
    (tmp_path / "work").mkdir()
    assert disk.move(tmp_path / "work", tmp_path / "home" / ".runs" / "task")
    assert flushed == [tmp_path, tmp_path / "home", tmp_path / "home" / ".runs"]


def test_a_reader_never_meets_half_a_file(tmp_path, monkeypatch):
    """Until the rename the old text stands there, whatever was written under the temporary name."""
    path = tmp_path / "status.json"
    disk.write(path, "old")
    seen, replace = [], Path.replace

    def watched(self, target):
        seen.append((path.read_text(), self.read_text()))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    disk.write(path, "new")
    assert seen == [("old", "new")]


NAMES = {
    "write": ("replace", lambda top: disk.write(top / "x", "text")),
    "create": ("hardlink_to", lambda top: disk.create(top / "x", "text")),
    "rename": ("rename", lambda top: disk.rename(top / "old", top / "x")),
    "move": ("rename", lambda top: disk.move(top / "old", top / "x")),
    "link": ("replace", lambda top: disk.link(top / "x", top / "old", "mark", hard=False)),
}


@pytest.mark.parametrize("primitive", NAMES)
def test_the_directory_is_flushed_after_every_change_of_a_name(tmp_path, monkeypatch, primitive):
    (tmp_path / "old").mkdir()
    step, run = NAMES[primitive]
    steps, fsync, change = [], os.fsync, getattr(Path, step)

    def flushed(handle):
        steps.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def changed(self, target):
        steps.append("name")
        return change(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, step, changed)
    run(tmp_path)
    assert [word for word in steps if word != "file"][-2:] == ["name", "directory"]
    assert (tmp_path / "x").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    if primitive in {"write", "create"}:
        assert steps[0] == "file"


def test_a_full_disk_leaves_the_old_file_and_no_crumbs(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    disk.write(path, "old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceExhausted, match=r"record\.json cannot be written: No space left .*\d+ bytes are free"):
        disk.write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_a_file_in_the_way_of_its_directory_is_told(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(BadConfig, match=r"state/groups/g\.json cannot be written: \w+"):
        disk.write(tmp_path / "state" / "groups" / "g.json", "x")


def test_a_directory_under_the_name_is_told(tmp_path):
    (tmp_path / "g.json").mkdir()
    with pytest.raises(BadConfig, match=r"g\.json cannot be written: Is a directory"):
        disk.write(tmp_path / "g.json", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["g.json"]


def test_the_longest_name_that_a_file_system_takes_can_be_written(tmp_path):
    disk.write(tmp_path / ("x" * 255), "text")
    with pytest.raises(BadConfig, match="File name too long"):
        disk.write(tmp_path / ("x" * 256), "text")


def test_what_exists_is_not_created_again(tmp_path):
    assert disk.create(tmp_path / "d" / "1.json", "first")
    assert not disk.create(tmp_path / "d" / "1.json", "second")
    assert [(path.name, path.read_text()) for path in (tmp_path / "d").iterdir()] == [("1.json", "first")]


def test_a_process_that_dies_leaves_the_old_text_or_the_new(tmp_path):
    disk.write(tmp_path / "x", "old")
    code = (
        f"from pathlib import Path; from contimg.volume import disk; disk.write(Path({str(tmp_path)!r}) / 'x', 'new')"
    )
    for point, text in (("write.before", "old"), ("write.after", "new")):
        environment = os.environ | {"CONTIMG_CRASH": point}
        assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == -9
        assert (tmp_path / "x").read_text() == text


# -- names ---------------------------------------------------------------------------------


def test_the_first_directory_gets_the_name_and_the_second_is_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text(name)
    assert disk.move(tmp_path / "one", tmp_path / "home" / "run")
    assert not disk.move(tmp_path / "two", tmp_path / "home" / "run")
    assert (tmp_path / "home" / "run" / "text").read_text() == "one"
    assert (tmp_path / "two" / "text").read_text() == "two"


@pytest.mark.parametrize("hard", [True, False])
def test_a_link_replaces_what_stood_there_and_leaves_no_crumb(tmp_path, hard):
    (tmp_path / "content").write_text("new")
    (tmp_path / "name").write_text("old")
    (tmp_path / ".name.mark").write_text("left over")
    for _ in range(2):
        disk.link(tmp_path / "name", tmp_path / "content", "mark", hard=hard)
        assert (tmp_path / "name").read_text() == "new"
        assert (tmp_path / "name").is_symlink() is not hard
        assert sorted(path.name for path in tmp_path.iterdir()) == ["content", "name"]


def test_what_stands_in_the_way_is_kept_under_the_first_free_name(tmp_path):
    kept = []
    for text in ("one", "two"):
        (tmp_path / "x").write_text(text)
        kept.append(disk.set_aside(tmp_path / "x", "before"))
    assert [(path.name, path.read_text()) for path in kept] == [("x.before-1", "one"), ("x.before-2", "two")]


def test_a_directory_and_its_parents_are_made_once(tmp_path):
    for _ in range(2):
        disk.make(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


# -- a place to write to ---------------------------------------------------------------------------------


def test_a_place_to_write_to_is_made_and_keeps_no_probe(tmp_path):
    path = tmp_path / "a" / "b" / "c"
    assert disk.check_writable(path, "a test") == path
    assert disk.check_writable(path, "a test") == path
    assert list(path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "loop", "loop/below"])
def test_what_stands_in_the_way_is_named_with_its_purpose(place, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadConfig) as caught:
        disk.check_writable(tmp_path / place, "CONTIMG_STAGE_BASE")
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path / place} (CONTIMG_STAGE_BASE) cannot be written: ")
    assert sentence.endswith("; choose another directory")


def test_a_directory_that_is_not_ours_to_write():
    """/proc refuses new names to everybody, root too."""
    with pytest.raises(BadConfig, match=r"/proc/contimg \(state\) cannot be written"):
        disk.check_writable(Path("/proc/contimg"), "state")


def test_a_full_disk_is_seen_though_it_takes_empty_files(tmp_path, monkeypatch):
    def full(self, _content):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResourceExhausted, match=r"\(CONTIMG_STATE_DIR\) cannot be written: No space left .*; free"):
        disk.check_writable(tmp_path / "state", "CONTIMG_STATE_DIR")
    assert list((tmp_path / "state").iterdir()) == []


# -- contents ---------------------------------------------------------------------------------


def test_checksum_of_a_directory_is_over_sorted_lines(tree):
    (tree / "link").unlink()
    lines = f"{hashlib.sha256(b'one').hexdigest()}  a\n{hashlib.sha256(b'three').hexdigest()}  b/c\n"
    assert disk.checksum(tree) == (8, hashlib.sha256(lines.encode()).hexdigest())
    assert disk.checksum(tree / "a") == (3, hashlib.sha256(b"one").hexdigest())


def test_checksum_sees_a_renamed_file(tree):
    before = disk.checksum(tree)
    (tree / "a").rename(tree / "z")
    (tree / "link").unlink()
    assert disk.checksum(tree)[1] != before[1]


@given(content=st.binary(max_size=5000))
def test_checksums_are_those_of_the_content(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "content"
    path.write_bytes(content)
    assert disk.sha256_file(path) == hashlib.sha256(content).hexdigest()


def test_the_checksum_of_the_standard(tmp_path):
    """FIPS 180-2, appendix B.1."""
    (tmp_path / "abc").write_bytes(b"abc")
    assert disk.sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_only_regular_files_are_opened_and_nothing_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    for path in (tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero"), tmp_path):
        with pytest.raises(BadInput, match=f"{path} is no regular file"):
            disk.sha256_file(path)
    with pytest.raises(FileNotFoundError):
        disk.sha256_file(tmp_path / "missing")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "file").write_bytes(b"abc")
    assert disk.sha256_file(tmp_path / "link").startswith("ba7816bf")


def test_read_only_is_complete_and_can_be_removed_again(tree):
    disk.sync(tree)
    disk.seal(tree)
    modes = [path.lstat().st_mode for path in [tree, *tree.rglob("*")] if not path.is_symlink()]
    assert not any(mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) for mode in modes)
    disk.seal(tree)
    disk.remove(tree)
    assert not tree.exists()
    disk.remove(tree)


def test_a_half_made_read_only_tree_is_finished(tree):
    (tree / "b" / "c").chmod(0o444)
    disk.seal(tree)
    assert not (tree / "a").stat().st_mode & stat.S_IWUSR


def test_removing_a_link_leaves_its_target(tree, tmp_path):
    link = tmp_path / "to"
    link.symlink_to(tree)
    disk.remove(link)
    assert (tree / "a").exists()


def test_no_descriptor_is_left_open(tree):
    before = len([*Path("/proc/self/fd").iterdir()])
    disk.sync(tree)
    disk.write(tree / "x", "text")
    with pytest.raises(FileNotFoundError):
        disk.sync(tree / "missing")
    assert len([*Path("/proc/self/fd").iterdir()]) == before
