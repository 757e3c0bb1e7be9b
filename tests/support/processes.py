"""A whole shard as separate processes: message server with one user per service, keeper, ingest, host, every stage."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from commands import clean_environment

from contimg.access import authorization, users
from contimg.models.spec import specs
from contimg.servers.nats import NatsServer
from contimg.volume.layout import Layout

__all__ = ["MODULES", "Shard"]

MODULES = {"keeper": "contimg.keeper", "host": "contimg.host"} | {name: f"contimg_{name}" for name in specs()}
"""Python module by service."""


class Shard:
    """The processes of one shard; a context manager that ends what it started.

    Parameters
    ----------
    layout
        Where.
    variables
        Further environment variables of every process.
    """

    def __init__(self, layout: Layout, logs: Path, **variables: str) -> None:
        self._layout, self._logs, self._variables = layout, logs, variables
        self._logs.mkdir(parents=True, exist_ok=True)
        known = users("main", specs().values())
        self._passwords = {user.name: f"secret-of-{user.name}" for user in known}
        self.server = NatsServer(logs / "nats", authorization=authorization(known, self._passwords))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills: dict[str, int] = dict.fromkeys(MODULES, 0)

    def __enter__(self) -> Self:
        self.server.start()
        for name in MODULES:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        for process in self._running.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.server.stop()

    def start(self, name: str) -> None:
        """Start a service, with its own user and nothing else in its environment than documents say."""
        environment = clean_environment(
            **self._layout.as_environment(),
            CONTIMG_NATS_URL=self.server.url,
            CONTIMG_NATS_USER=name,
            CONTIMG_NATS_PASSWORD=self._passwords[name],
            CONTIMG_SCAN_S="1",
            **self._variables,
        )
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", MODULES[name]], env=environment, stdout=log, stderr=log, cwd=self._logs
            )

    def kill(self, name: str) -> None:
        """End a service as the kernel would, and start it again as a cluster would."""
        process = self._running[name]
        process.kill()
        process.wait()
        self.kills[name] += 1
        self.start(name)

    def watch_over(self) -> Iterator[tuple[str, int]]:
        """Start again what ended by itself, and tell its exit code."""
        for name, process in list(self._running.items()):
            code = process.poll()
            if code is not None:
                yield name, code
                self.start(name)

    def log(self, name: str) -> str:
        """Return what a service said."""
        path = self._logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""
