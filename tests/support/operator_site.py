"""A namespace with its operator: real API server, real bus, real keeper; only the stages work on paper."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import paper_stages
from apiserver import ApiServer, free_ports
from commands import clean_environment
from keeper_state import observation, write

from contimg.access import authorization, users
from contimg.bus import Bus
from contimg.limits import ProtocolLimits
from contimg.models.fact import IngestFact
from contimg.models.instrument import pipelines
from contimg.models.observation import ObservationRecord
from contimg.models.spec import specs
from contimg.servers.nats import NatsServer
from contimg.volume.layout import Layout
from contimg_operator.rights import RULES

__all__ = ["PAPER", "OperatorSite", "group", "observation", "observed", "scanned"]

PAPER = "paper"
"""User of the message server that may do everything: it plays all stages."""
CALIBRATED = observation(4).calibrators


def observed(layout: Layout, *numbers: int, first: int | None = None) -> list[str]:
    """Write the records of observations as ingest writes them; the ``first`` of a group has a calibrator."""
    found = []
    for number in numbers:
        record = observation(number)
        if number == (numbers[0] if first is None else first):
            transits = tuple(item.model_copy(update={"transit": record.start}) for item in CALIBRATED)
            record = record.model_copy(update={"calibrators": transits})
        found.append(_written(layout, record))
    return found


def _written(layout: Layout, record: ObservationRecord) -> str:
    write(layout.observations / record.date / f"{record.id}.json", record.model_dump_json())
    return record.id


def scanned(layout: Layout) -> None:
    """Say, as ingest does, that it has looked at everything just now."""
    write(layout.ingest_fact, IngestFact(scanned=datetime.now(UTC)).model_dump_json())


def group(name: str, members: list[str], **spec: Any) -> dict[str, Any]:
    """Return an ObservationGroup as a user writes it."""
    wish = {"pipeline": "dsa110-continuum", "observations": {"members": members}, **spec}
    head = {"apiVersion": "contimg.dsa110.org/v1alpha1", "kind": "ObservationGroup"}
    return head | {"metadata": {"name": name}, "spec": wish}


class OperatorSite:
    """A namespace, its volumes and processes; a context manager that ends what it started.

    Parameters
    ----------
    server
        The API server, with our definitions.
    directory
        Where volumes and logs are.
    namespace
        Made here; the operator has the Role of the chart in it and nothing else.
    layout
        Volumes on which real stages work; None: new ones, and the stages work on paper.
    variables
        Further environment variables of every process.
    """

    modules: ClassVar[dict[str, list[str]]] = {
        "operator": ["-m", "contimg_operator"],
        "keeper": ["-m", "contimg.keeper"],
        "workers": [__file__],
    }
    """What is started for a role."""

    def __init__(
        self, server: ApiServer, directory: Path, namespace: str, layout: Layout | None = None, **variables: str
    ) -> None:
        self.server, self.namespace, self._variables = server, namespace, variables
        self.directory = directory
        self.layout = layout or Layout(directory / "stage", directory / "data")
        self._stages = ["workers"] if layout is None else [item.stage for item in pipelines()["vla-continuum"].stages]
        known = users("main", specs().values())
        self._passwords = {user.name: f"secret-of-{user.name}" for user in known}
        allowed = authorization(known, self._passwords)
        allowed["users"].append({"user": PAPER, "password": PAPER})
        self.bus = NatsServer(directory / "nats", authorization=allowed)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        if self._stages == ["workers"]:
            self.layout.stage_base.mkdir(parents=True)
            self.layout.state.mkdir(parents=True)
            scanned(self.layout)
        self._rights()
        self.bus.start()
        for name in ("keeper", "operator", *self._stages):
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.running):
            self.stop(name)
        self.bus.stop()

    def _rights(self) -> None:
        """Make the namespace, and the operator's account with exactly the rules of its Role."""
        kubectl = self.server.kubectl
        kubectl("create", "namespace", self.namespace)
        inside = {"name": "operator", "namespace": self.namespace}
        rbac = "rbac.authorization.k8s.io"
        self.server.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": inside},
            {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": inside, "rules": RULES},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": inside,
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "operator"},
                "subjects": [{"kind": "ServiceAccount", **inside}],
            },
            namespace=self.namespace,
        )
        token = kubectl("create", "token", "-n", self.namespace, "operator", "--duration=24h").stdout.strip()
        self.server.write_kubeconfig(self.directory / "kubeconfig", token, self.namespace)

    # -- processes ----------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start ``keeper``, ``workers``, an ``operator…`` or a stage, each with a user of its own."""
        role = "operator" if name.startswith("operator") else name
        user = {"operator": "host", "workers": PAPER}.get(role, role)
        self.ports[name] = free_ports(1)[0]
        environment = clean_environment(
            **self.layout.as_environment(),
            CONTIMG_NATS_URL=self.bus.url,
            CONTIMG_NATS_USER=user,
            CONTIMG_NATS_PASSWORD=self._passwords.get(user, PAPER),
            CONTIMG_NAMESPACE=self.namespace,
            CONTIMG_PORT=str(self.ports[name]),
            CONTIMG_SCAN_S="1",
            KUBECONFIG=str(self.directory / "kubeconfig"),
            **self._variables,
        )
        argv = [sys.executable, *self.modules.get(role, ["-m", f"contimg_{role}"])]
        with self.log_file(name).open("ab") as log:
            self.running[name] = subprocess.Popen(argv, env=environment, stdout=log, stderr=log, cwd=self.directory)

    def stop(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """End a process and return its exit code."""
        process = self.running.pop(name)
        process.send_signal(how)
        try:
            return process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def log_file(self, name: str) -> Path:
        """Return where a process writes."""
        return self.directory / f"{name}.log"

    def log(self, name: str = "operator") -> str:
        """Return what a process said."""
        return self.log_file(name).read_text(errors="replace")

    def http(self, path: str, name: str = "operator") -> str:
        """Return what a process answers."""
        with contextlib.closing(
            urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=10)
        ) as said:
            return said.read().decode()

    def ready(self, name: str = "operator") -> str:
        """Return what the probe of readiness says."""
        try:
            return self.http("/readyz", name).strip()
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except OSError as error:
            return str(error)

    def metric(self, prefix: str, name: str = "operator") -> float:
        """Return the sum of the samples of a metric that begin so."""
        lines = self.http("/metrics", name).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(prefix))

    # -- resources ----------------------------------------------------------------------------------------------

    def kubectl(self, *words: str, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace."""
        return self.server.kubectl("-n", self.namespace, *words, text=text, check=check)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects."""
        self.server.apply(*objects, namespace=self.namespace)

    def get(self, name: str, kind: str = "og") -> dict[str, Any]:
        """Return an object; an empty one if there is none."""
        return self.server.get(kind, name, self.namespace) or {}

    def status(self, name: str, kind: str = "og") -> dict[str, Any]:
        """Return the status of an object; an empty one if there is none."""
        found: dict[str, Any] = self.get(name, kind).get("status", {})
        return found

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """Return a condition of a group."""
        return next((item for item in self.status(name).get("conditions", ()) if item["type"] == kind), {})

    def until(self, holds: Callable[[], Any], within_s: float = 60.0) -> Any:
        """Wait until something holds, and return it."""
        deadline = time.monotonic() + within_s
        while not (value := holds()):
            ended = {name: process.poll() for name, process in self.running.items() if process.poll() is not None}
            assert not ended, (ended, {name: self.log(name)[-3000:] for name in ended})
            assert time.monotonic() < deadline, self.log()[-3000:]
            time.sleep(0.1)
        return value

    def wait(self, name: str, condition: str = "Succeeded", within_s: float = 60.0) -> None:
        """Wait as a user does, by ``kubectl wait``."""
        done = self.kubectl("wait", f"--for=condition={condition}", f"og/{name}", f"--timeout={within_s}s", check=False)
        assert done.returncode == 0, (done.stderr, self.status(name), self.log()[-3000:])


async def _work() -> None:
    """Play all stages until ended."""
    layout = Layout.from_environment()
    words = [os.environ[f"CONTIMG_NATS_{name}"] for name in ("URL", "USER", "PASSWORD")]
    async with await Bus.connect(*words, limits=ProtocolLimits(fetch_s=0.05)) as bus:
        await paper_stages.work(bus, layout, float(os.environ.get("TASK_S", "0")))


if __name__ == "__main__":
    asyncio.run(_work())
