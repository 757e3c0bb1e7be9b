from __future__ import annotations

import os
import socket

import pytest

from contimg_ingest.walk import walk


def names(found):
    return [item.name for item in found.files]


def put(top, *paths):
    for name in paths:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)


def test_every_directory_once_in_order(tmp_path):
    put(tmp_path, "b/2.hdf5", "a/1.hdf5", "a/deep/3.hdf5", "z.fits", "notes.txt")
    assert names(walk([tmp_path])) == ["notes.txt", "z.fits", "a/1.hdf5", "a/deep/3.hdf5", "b/2.hdf5"]


def test_hidden_files_are_being_copied_and_left_alone(tmp_path):
    put(tmp_path, ".2026-01-25T22:26:05_sb00.hdf5.Xy12", "1.hdf5")
    assert names(walk([tmp_path])) == ["1.hdf5"]


def test_several_roots_are_told_apart_and_one_inside_another_is_read_once(tmp_path):
    put(tmp_path, "one/x.hdf5", "one/inner/y.hdf5", "two/x.hdf5")
    found = walk([tmp_path / "one", tmp_path / "two", tmp_path / "one/inner"])
    assert [(item.root, item.name) for item in found.files] == [(0, "x.hdf5"), (0, "inner/y.hdf5"), (1, "x.hdf5")]
    assert found.problems == []


def test_a_root_may_be_a_link(tmp_path):
    put(tmp_path, "real/x.hdf5")
    (tmp_path / "incoming").symlink_to(tmp_path / "real")
    assert [str(item.path) for item in walk([tmp_path / "incoming"]).files] == [str(tmp_path / "incoming/x.hdf5")]


def test_links_inside_are_followed_links_out_and_loops_are_told(tmp_path):
    put(tmp_path, "in/store/blob", "out/secret.hdf5", "in/a/1.hdf5")
    top = tmp_path / "in"
    (top / "good.hdf5").symlink_to(top / "store/blob")
    (top / "secret.hdf5").symlink_to(tmp_path / "out/secret.hdf5")
    (top / "elsewhere").symlink_to(tmp_path / "out")
    (top / "a/up").symlink_to(top)
    (top / "self.hdf5").symlink_to(top / "self.hdf5")
    (top / "dead.hdf5").symlink_to(top / "nowhere")
    found = walk([top])
    assert names(found) == ["good.hdf5", "a/1.hdf5", "store/blob"]
    told = sorted(found.problems)
    assert len(told) == 5
    assert "a/up leads back to a directory that is read anyway" in told[0]
    assert "dead.hdf5 cannot be looked at (No such file or directory)" in told[1]
    assert "elsewhere is a link out of the incoming directories; copy the file there, or add its directory" in told[2]
    assert "secret.hdf5 is a link out of the incoming directories" in told[3]
    assert "self.hdf5 cannot be looked at (Too many levels of symbolic links)" in told[4]


def test_pipes_sockets_and_devices_are_told_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.hdf5")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s.hdf5"))
    found = walk([tmp_path])
    server.close()
    assert found.files == []
    assert [problem.split(".hdf5 ")[1] for problem in found.problems] == [
        "is a named pipe; remove it, only files are read",
        "is a socket; remove it, only files are read",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_told(tmp_path):
    try:
        os.mknod(tmp_path / "zero.hdf5", 0o020644, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container may not make devices")
    assert "is a device; remove it" in walk([tmp_path]).problems[0]


def test_a_name_that_is_no_text_is_told(tmp_path):
    (tmp_path / os.fsdecode(b"\xff_sb00.hdf5")).write_text("x")
    found = walk([tmp_path])
    assert found.files == []
    assert found.problems == [f"{tmp_path}/?_sb00.hdf5 has a name that is no UTF-8; rename it"]


def test_missing_top_is_told_not_raised(tmp_path):
    found = walk([tmp_path / "gone"])
    assert found.files == []
    assert "gone cannot be read" in found.problems[0]


def test_state_of_a_file(tmp_path):
    path = tmp_path / "x.hdf5"
    path.write_bytes(b"abc")
    (item,) = walk([tmp_path]).files
    assert item.size == 3
    assert item == walk([tmp_path]).files[0]
    path.chmod(0o600)
    os.utime(path, ns=(1, item.mtime_ns))
    assert item == walk([tmp_path]).files[0], "when its attributes changed is not its state"
    path.write_bytes(b"abcd")
    assert item != walk([tmp_path]).files[0]
