"""A whole shard as separate processes: message server with one user per service, keeper, ingest, host, every stage."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from commands import clean_environment

from contimg.access import authorization, users
from contimg.models.instrument import pipelines
from contimg.models.manifest import Manifest
from contimg.models.spec import specs, watchers
from contimg.servers.nats import NatsServer
from contimg.volume.layout import Layout

__all__ = ["MODULES", "Shard", "differing", "free_ports", "manifests", "published"]

STAGES = (*watchers(), *(item.stage for item in pipelines()["vla-continuum"].stages))
"""Of continuum observing, which is all that a shard of tests does."""
MODULES = {"keeper": "contimg.keeper", "host": "contimg.host"} | {name: f"contimg_{name}" for name in STAGES}
"""Python module by service."""


class Shard:
    """The processes of one shard; a context manager that ends what it started.

    Parameters
    ----------
    layout
        Where.
    ports
        Where a service shows its metrics, by its name; others show none.
    variables
        Further environment variables of every process.
    """

    def __init__(self, layout: Layout, logs: Path, ports: Mapping[str, int] | None = None, **variables: str) -> None:
        self._layout, self._logs, self._variables = layout, logs, variables
        self._ports = ports or {}
        self._logs.mkdir(parents=True, exist_ok=True)
        known = users("main", specs().values())
        self._passwords = {user.name: f"secret-of-{user.name}" for user in known}
        self.server = NatsServer(logs / "nats", authorization=authorization(known, self._passwords))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills: dict[str, int] = dict.fromkeys([*MODULES, "server"], 0)

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
            CONTIMG_PORT=str(self._ports.get(name, 0)),
            **self._variables,
        )
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", MODULES[name]], env=environment, stdout=log, stderr=log, cwd=self._logs
            )

    def kill(self, name: str) -> None:
        """End a service as the kernel would, and start it again as a cluster would."""
        self.kills[name] += 1
        if name == "server":
            self.server.kill()
            self.server.start()
            return
        process = self._running[name]
        process.kill()
        process.wait()
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


def free_ports() -> dict[str, int]:
    """Return a free port for every service."""
    with contextlib.ExitStack() as probes:
        found = {name: probes.enter_context(socket.socket()) for name in MODULES}
        for probe in found.values():
            probe.bind(("127.0.0.1", 0))
        return {name: int(probe.getsockname()[1]) for name, probe in found.items()}


def manifests(layout: Layout) -> dict[str, Manifest]:
    """Return what is registered, by task."""
    found = [Manifest.model_validate_json(path.read_bytes()) for path in layout.manifests.glob("*/*.json")]
    return {manifest.task: manifest for manifest in found}


def published(layout: Layout, group: str) -> bool:
    """Tell whether a group was published."""
    path = layout.groups / f"{group}.json"
    return path.exists() and bool(json.loads(path.read_text())["published"])


def differing(one: Layout, other: Layout) -> dict[tuple[str, str], tuple[str, str]]:
    """Return stage and path of the products whose checksums differ, tasks that only one has included.

    The report and provenance of a judging stage quote when and where the others ran.
    """
    here, there = manifests(one), manifests(other)
    found = {("task", task): ("", "") for task in here.keys() ^ there.keys()}
    for task in here.keys() & there.keys():
        if not specs()[here[task].stage].judges:
            pairs = zip(here[task].products, there[task].products, strict=True)
            found |= {(here[task].stage, a.path): (a.sha256, b.sha256) for a, b in pairs if a.sha256 != b.sha256}
    return found
