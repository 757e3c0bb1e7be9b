"""What the object store computes by itself; everything that talks is in tests/integration/test_archive_s3.py."""

import hashlib
import os
import tarfile
import time

import pytest

from contimg.errors import BadConfig
from contimg.objectstore import PART, S3Target, _etag, _pack


@pytest.mark.parametrize("size", [0, 1, PART])
def test_etag_of_one_part_is_the_md5(tmp_path, size):
    (tmp_path / "f").write_bytes(b"x" * size)
    assert _etag(tmp_path / "f") == hashlib.md5(b"x" * size).hexdigest()  # noqa: S324 - the definition


def test_etag_of_several_parts_is_the_md5_of_their_md5s(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * PART + b"y")
    both = b"".join(hashlib.md5(part).digest() for part in (b"x" * PART, b"y"))  # noqa: S324 - the definition
    assert _etag(tmp_path / "f") == hashlib.md5(both).hexdigest() + "-2"  # noqa: S324 - the definition


def test_tar_depends_on_names_and_contents_only(tmp_path):
    for number, order in enumerate((("a", "sub/b"), ("sub/b", "a"))):
        base = tmp_path / str(number) / "t"
        for name in order:
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).write_bytes(name.encode())
            (base / name).chmod(0o640 if number else 0o600)
            moment = time.time() - 1000 * number
            os.utime(base / name, (moment, moment))
        _pack(base, str(tmp_path / f"{number}.tar"))
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()
    with tarfile.open(tmp_path / "0.tar") as tar:
        assert tar.getnames() == ["t", "t/a", "t/sub", "t/sub/b"]


@pytest.mark.parametrize("url", ["host:9000/b", "ftp://host/b", "http://host", "http://host/a/b", "http:///b"])
def test_addresses_of_another_form_are_named(url):
    with pytest.raises(BadConfig, match="not of the form"):
        S3Target.from_url(url, "key", "secret")


def test_address_is_shown_without_the_secret():
    target = S3Target.from_url("https://host:9000/archive", "key", "s3cret")
    assert (target.url, target.secure) == ("https://host:9000/archive", True)
    assert "s3cret" not in repr(target)


ENVIRONMENT = {
    "CONTIMG_S3_URL": "http://h:9000/b-1",
    "CONTIMG_S3_ACCESS_KEY": "k",
    "CONTIMG_S3_SECRET_KEY": "s3cret",
    "CONTIMG_S3_REGION": "eu-1",
    "CONTIMG_S3_CA": "/certificates",
}


def test_the_environment_says_where_and_with_which_keys():
    target = S3Target.from_environment(ENVIRONMENT)
    assert (target.endpoint, target.bucket, target.secure) == ("h:9000", "b-1", False)
    assert (target.access_key, target.secret_key) == ("k", "s3cret")
    assert (target.region, target.ca) == ("eu-1", "/certificates")
    plain = S3Target.from_environment(ENVIRONMENT | {"CONTIMG_S3_REGION": "", "CONTIMG_S3_CA": ""})
    assert (plain.region, plain.ca) == ("us-east-1", "")
    assert S3Target.from_environment({}) is None


@pytest.mark.parametrize("name", ["CONTIMG_S3_ACCESS_KEY", "CONTIMG_S3_SECRET_KEY"])
def test_an_address_without_its_keys_is_refused(name):
    with pytest.raises(BadConfig, match=f"{name} is not set; publishing to http://h:9000/b-1 needs"):
        S3Target.from_environment(ENVIRONMENT | {name: ""})
