"""The S3 half of the archive, by the ``minio`` client: objects that are verified, pointers that come last."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.versioningconfig import VersioningConfig

from contimg import crash
from contimg.errors import BadConfig, ContimgError, Damaged, Unavailable
from contimg.models.plan import PlanItem
from contimg.settings import Settings

__all__ = ["ObjectStore", "S3Target"]

PART = 16 * 2**20
"""Bytes of one part of an upload; also what an upload keeps in memory."""

WRONG_KEY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "InvalidAccessKey", "Forbidden"}
ABSENT = {"NoSuchKey", "NoSuchObject", "NoSuchBucket"}


@dataclass(frozen=True)
class S3Target:
    """Where objects go."""

    endpoint: str
    """``host:port``."""
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    secure: bool = True
    region: str = "us-east-1"
    ca: str = ""
    """File with the certificates that are trusted; empty: the system's."""
    create_bucket: bool = True
    """Make the bucket when it is missing."""

    @property
    def url(self) -> str:
        """The endpoint with its scheme and the bucket."""
        return f"{'https' if self.secure else 'http'}://{self.endpoint}/{self.bucket}"

    @classmethod
    def from_url(cls, url: str, access_key: str, secret_key: str) -> S3Target:
        """Read ``http(s)://host:port/bucket``.

        Raises
        ------
        BadConfig
            If the URL has another form.
        """
        parts = urlsplit(url)
        bucket = parts.path.strip("/")
        if parts.scheme not in ("http", "https") or not parts.netloc or not bucket or "/" in bucket:
            msg = f"S3 address {url!r} is not of the form http(s)://host:port/bucket; give embedded, none or such a URL"
            raise BadConfig(msg)
        return cls(parts.netloc, access_key, secret_key, bucket, parts.scheme == "https")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> S3Target | None:
        """Return what ``CONTIMG_S3_URL``, its keys, region and certificates say; None: products stay on disk alone.

        Raises
        ------
        BadConfig
            If the URL has another form, a key is missing, or a variable is misspelt.
        """
        said = Settings.from_environment(environment)
        url, key, secret = said.s3_url, said.s3_access_key, said.s3_secret_key.get_secret_value()
        if not url:
            return None
        for name, value in (("CONTIMG_S3_ACCESS_KEY", key), ("CONTIMG_S3_SECRET_KEY", secret)):
            if not value:
                raise BadConfig(f"{name} is not set; publishing to {url} needs an access key and a secret key")
        return replace(cls.from_url(url, key, secret), region=said.s3_region, ca=said.s3_ca)


class ObjectStore:
    """One bucket.

    Parameters
    ----------
    target
        Where and with which keys.
    timeout_s
        How long to wait for a connection; answers may take six times as long.
    """

    def __init__(self, target: S3Target, timeout_s: float = 10.0) -> None:
        self.target = target
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=timeout_s, read=6.0 * timeout_s),
            retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
            ca_certs=target.ca or None,
        )
        with self._errors():
            self._client = Minio(
                target.endpoint,
                target.access_key,
                target.secret_key,
                secure=target.secure,
                region=target.region,
                http_client=pool,
            )

    def prepare(self) -> None:
        """Check keys and bucket; make the bucket if that is allowed.

        Raises
        ------
        Unavailable
            If nothing answers at the endpoint.
        BadConfig
            If the keys are refused, or the bucket is missing and may not be made.
        """
        with self._errors():
            if self._client.bucket_exists(self.target.bucket):
                return
            if not self.target.create_bucket:
                msg = f"bucket {self.target.bucket!r} does not exist at {self.target.url}; make it or name another one"
                raise BadConfig(msg)
            try:
                self._client.make_bucket(self.target.bucket, self.target.region)
            except S3Error as error:
                if error.code in WRONG_KEY:
                    raise BadConfig(
                        f"bucket {self.target.bucket!r} does not exist at {self.target.url}, and access key "
                        f"{self.target.access_key!r} may not make it; make it or name another one"
                    ) from error
                if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    raise

    def keep_versions(self) -> None:
        """Let the bucket keep what is overwritten.

        Raises
        ------
        Unavailable
            If nothing answers at the endpoint, or it cannot yet.
        BadConfig
            If the keys are refused for it.
        """
        with self._errors():
            self._client.set_bucket_versioning(self.target.bucket, VersioningConfig(ENABLED))

    def check(self) -> None:
        """Check keys, bucket and the right to write, leaving nothing: an upload is begun and given up.

        Raises
        ------
        Unavailable
            If nothing answers at the endpoint.
        BadConfig
            If the bucket is missing, or the keys are refused for it.
        """
        bucket, key = self.target.bucket, ".selftest"
        with self._errors():
            if not self._client.bucket_exists(bucket):
                raise BadConfig(f"bucket {bucket!r} does not exist at {self.target.url}; make it or name another one")
            upload = self._client._create_multipart_upload(bucket, key, {})  # noqa: SLF001 - the only write that leaves nothing
            self._client._abort_multipart_upload(bucket, key, upload)  # noqa: SLF001

    def put(self, item: PlanItem, path: Path) -> None:
        """Upload a product under its key, unless the same content is there already.

        Parameters
        ----------
        item
            Names the key and the checksum.
        path
            The verified copy in the archive.

        Raises
        ------
        Damaged
            If the key holds another product; it is left alone.
        """
        with self._errors():
            if item.directory:
                with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tar-", suffix=".part") as packed:
                    _pack(path, packed.name)
                    self._put_file(item, Path(packed.name))
            else:
                self._put_file(item, path)

    def _put_file(self, item: PlanItem, path: Path) -> None:
        there = self._sha256_there(item.key)
        if there not in ("", item.sha256):
            wrong = f"holds sha256 {there}, not {item.sha256}"
            msg = f"s3 key {item.key} in {self.target.url} {wrong}; move it away by hand"
            raise Damaged(msg)
        expected = _etag(path)
        if there and self._is_whole(item.key, path, expected):
            return
        crash.point("archive.upload.before")
        self._client.fput_object(
            self.target.bucket, item.key, str(path), metadata={"sha256": item.sha256}, part_size=PART
        )
        crash.point("archive.upload.after")
        if not self._is_whole(item.key, path, expected):
            msg = f"s3 key {item.key} in {self.target.url} differs from what was sent; it will be sent again"
            raise Unavailable(msg)

    def _sha256_there(self, key: str) -> str:
        """Return the checksum the object at a key says it has; empty: no object."""
        try:
            stat = self._client.stat_object(self.target.bucket, key)
        except S3Error as error:
            if error.code in ABSENT:
                return ""
            raise
        found = {name.lower(): value for name, value in dict(stat.metadata or {}).items()}
        return str(found.get("x-amz-meta-sha256", "unknown"))

    def _is_whole(self, key: str, path: Path, etag: str) -> bool:
        """Compare size and ETag; a server with other ETags has the object read back and compared byte by byte."""
        stat = self._client.stat_object(self.target.bucket, key)
        if stat.size != path.stat().st_size:
            return False
        return (stat.etag or "").strip('"') == etag or self._same_bytes(key, path)

    def _same_bytes(self, key: str, path: Path) -> bool:
        answer = self._client.get_object(self.target.bucket, key)
        try:
            with path.open("rb") as local:
                return all(chunk == local.read(len(chunk)) for chunk in answer.stream(2**20))
        finally:
            answer.close()
            answer.release_conn()

    def point(self, key: str, content: dict[str, Any]) -> None:
        """Write a pointer, the only kind of object that ever changes."""
        data = (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
        with self._errors():
            if self.read(key) == data:
                return
            crash.point("archive.pointer.before")
            self._client.put_object(
                self.target.bucket, key, io.BytesIO(data), len(data), content_type="application/json"
            )
            crash.point("archive.pointer.after")

    def read(self, key: str) -> bytes | None:
        """Return a small object; None if there is none."""
        with self._errors():
            try:
                answer = self._client.get_object(self.target.bucket, key)
            except S3Error as error:
                if error.code in ABSENT:
                    return None
                raise
            try:
                return bytes(answer.data)
            finally:
                answer.close()
                answer.release_conn()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            raise self._refused(error) from error
        except (urllib3.exceptions.HTTPError, InvalidResponseError, ServerError, OSError) as error:
            why = type(getattr(error, "reason", None) or error).__name__
            untrusted = why == "SSLError"
            cure = (
                "give CONTIMG_S3_CA the certificates of its issuer" if untrusted else "start it or correct the address"
            )
            msg = f"no S3 server answers at {self.target.url} ({why}); {cure}"
            raise Unavailable(msg) from error
        except (MinioException, ValueError) as error:
            msg = f"S3 address {self.target.url} is not usable: {error}"
            raise BadConfig(msg) from error

    def _refused(self, error: S3Error) -> ContimgError:
        where, key = self.target.url, self.target.access_key
        if error.code in WRONG_KEY:
            right = (
                "give it the right to write there" if error.code == "AccessDenied" else "give the right key and secret"
            )
            return BadConfig(f"S3 at {where} refuses access key {key!r} ({error.code}); {right}")
        if error.code == "NoSuchBucket":
            return BadConfig(f"bucket {self.target.bucket!r} does not exist at {where}; make it or name another one")
        return Unavailable(f"S3 at {where} answered {error.code}: {error.message}; it will be tried again")


def _pack(directory: Path, target: str) -> None:
    """Write an uncompressed tar whose bytes depend on names and contents only."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        info.mode = 0o755 if info.isdir() else 0o644
        return info

    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(directory, directory.name, recursive=False, filter=plain)
        for path in sorted(directory.rglob("*")):
            tar.add(path, f"{directory.name}/{path.relative_to(directory).as_posix()}", recursive=False, filter=plain)


def _etag(path: Path) -> str:
    """Return the ETag that S3 gives to an upload in parts of ``PART`` bytes."""
    with path.open("rb") as stream:
        read: Callable[[], bytes] = lambda: stream.read(PART)  # noqa: E731 - the callable form of iter
        parts = [hashlib.md5(part, usedforsecurity=False).digest() for part in iter(read, b"")]
    if len(parts) <= 1:
        return parts[0].hex() if parts else hashlib.md5(b"", usedforsecurity=False).hexdigest()
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"
