from __future__ import annotations

import hashlib
import os

import pytest

from contimg.errors import BadInput
from contimg_ingest import digest


def test_content_against_the_definition(tmp_path):
    data = os.urandom(3 << 20)
    path = tmp_path / "x"
    path.write_bytes(data)
    first, last = (hashlib.sha256(part).hexdigest() for part in (data[: 1 << 20], data[-(1 << 20) :]))
    assert digest.content(path) == f"{3 << 20} {first} {last}"


def test_small_file_is_read_twice(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    once = hashlib.sha256(b"abc").hexdigest()
    assert digest.content(path) == f"3 {once} {once}"


def test_role_order_and_content_count():
    assert digest.of_file("sb00", "1 a b") != digest.of_file("sb01", "1 a b")
    assert digest.of_file("sb00", "1 a b") != digest.of_file("sb00", "2 a b")
    assert digest.of_set(["a", "b"]) != digest.of_set(["b", "a"])
    assert len(digest.of_set([])) == 64


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="is no regular file"):
        digest.content(tmp_path / "pipe")


def test_the_digest_of_a_set_follows_its_members():
    digests = [hashlib.sha256(bytes([n])).hexdigest() for n in range(4)]
    assert digest.of_set(digests) == digest.of_set(tuple(digests))
    assert digest.of_set(digests) != digest.of_set(digests[:-1])
