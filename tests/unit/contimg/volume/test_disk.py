from __future__ import annotations

import hashlib
import stat

import pytest

from contimg.volume.disk import checksum, make_read_only, remove_tree, sync_tree, write_durable


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "a").write_text("one")
    (root / "b" / "c").write_text("three")
    (root / "link").symlink_to("a")
    return root


def test_checksum_of_a_directory_is_over_sorted_lines(tree):
    (tree / "link").unlink()
    lines = f"{hashlib.sha256(b'one').hexdigest()}  a\n{hashlib.sha256(b'three').hexdigest()}  b/c\n"
    assert checksum(tree) == (8, hashlib.sha256(lines.encode()).hexdigest())
    assert checksum(tree / "a") == (3, hashlib.sha256(b"one").hexdigest())


def test_checksum_sees_a_renamed_file(tree):
    before = checksum(tree)
    (tree / "a").rename(tree / "z")
    (tree / "link").unlink()
    assert checksum(tree)[1] != before[1]


def test_read_only_is_complete_and_can_be_removed_again(tree):
    sync_tree(tree)
    make_read_only(tree)
    modes = [path.lstat().st_mode for path in [tree, *tree.rglob("*")] if not path.is_symlink()]
    assert not any(mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) for mode in modes)
    make_read_only(tree)
    remove_tree(tree)
    assert not tree.exists()
    remove_tree(tree)


def test_a_half_made_read_only_tree_is_finished(tree):
    (tree / "b" / "c").chmod(0o444)
    make_read_only(tree)
    assert not (tree / "a").stat().st_mode & stat.S_IWUSR


def test_removing_a_link_leaves_its_target(tree, tmp_path):
    link = tmp_path / "to"
    link.symlink_to(tree)
    remove_tree(link)
    assert (tree / "a").exists()


def test_writing_replaces_and_leaves_no_temporary(tmp_path):
    write_durable(tmp_path / "x", "old")
    write_durable(tmp_path / "x", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "new")]
