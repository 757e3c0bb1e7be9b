"""A release of the chart as its user meets it: helm and kubectl as commands, the volumes as directories."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waiting import until

from contimg.volume.layout import Layout

__all__ = ["OWN", "ROOT", "STAGES", "Failed", "Release", "helm", "kubectl", "node"]

ROOT = Path(__file__).parents[3]
OWN = Path(os.environ.get("KUBECONFIG", "/")).parent == Path(os.environ.get("CLUSTER_VOLUMES", "/x")).parent
"""Whether the cluster is the one of up.sh, which may be stopped, and whose releases are ours."""
STAGES = ("convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish")
VOLUMES = ("staging", "data", "state", "incoming", "bus", "store")
UID = 10001
SCALE = 0.1
"""Times of the protocol in these tests: a killed worker costs seconds."""
LIMITS = {"stall_after_s": 120, "rpc_s": 10, "frozen_after_s": 60, "kill_s": 5}
"""Two cores serve everything: what says how long an answer or a computation may take stays long."""


SMALL = {"cpu": "20m", "memory": "64Mi"}


class Failed(AssertionError):
    """A command ended with another code than 0."""


def _command(argv: list[str], given: str | None = None, timeout: float = 600) -> str:
    done = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def kubectl(*words: object, given: str | None = None, timeout: float = 600) -> str:
    """Run kubectl and return what it prints."""
    return _command(["kubectl", *map(str, words)], given, timeout)


def helm(*words: object, timeout: float = 900) -> str:
    """Run helm and return what it prints."""
    return _command(["helm", *map(str, words)], timeout=timeout)


def node() -> str:
    """Return the name of the only node."""
    (name,) = kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split()
    return name


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return one with the other's values laid over it, as helm does."""
    both = {key: _merged(one[key], other[key]) for key in one.keys() & other.keys() if isinstance(one[key], dict)}
    return one | other | both


@dataclass
class Release:
    """One release in a namespace of its own, on six directories of this machine.

    Parameters
    ----------
    namespace
        Also the name of the directory with its volumes.
    volumes
        Where the directories lie.
    """

    namespace: str
    volumes: Path
    name: str = "contimg"
    more: dict[str, Any] = field(default_factory=dict)
    """Further values of the chart."""

    # -- installing ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the namespace, `restricted`, and the empty directories."""
        kubectl("create", "namespace", self.namespace)
        kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        for name in VOLUMES:
            directory = self.volumes / name
            directory.mkdir(parents=True)
            shutil.chown(directory, UID, UID)

    def values(self) -> dict[str, Any]:
        """Return the values of the chart: local volumes, short times, small requests."""
        local = {name: {"local": {"node": node(), "path": str(self.volumes / name)}, "size": "4Gi"} for name in VOLUMES}
        own = {
            "timeScale": SCALE,
            "limits": LIMITS,
            "volumes": {name: local[name] for name in VOLUMES[:4]},
            "nats": {"storage": local["bus"]},
            "store": {"minio": {"storage": local["store"]}},
            "ingest": {"scanSeconds": 1},
            "stages": {stage: {"resources": {"requests": SMALL}} for stage in STAGES},
        }
        return _merged(own, self.more)

    def _values_file(self) -> Path:
        path = self.volumes / "values.json"
        path.write_text(json.dumps(self.values(), indent=1))
        return path

    def install(self, *words: str) -> str:
        """Install the chart."""
        return helm(
            "install", self.name, ROOT / "charts/contimg", "-n", self.namespace, "-f", self._values_file(), *words
        )

    def upgrade(self, *words: str) -> str:
        """Upgrade to the present chart and values."""
        return helm(
            "upgrade", self.name, ROOT / "charts/contimg", "-n", self.namespace, "-f", self._values_file(), *words
        )

    def uninstall(self) -> None:
        """Take the release away and wait until its pods have gone; volumes and definitions stay."""
        helm("uninstall", self.name, "-n", self.namespace, "--wait", "--timeout", "5m")
        until(lambda: not self.pods(), 300)

    def wait_ready(self, limit_s: float = 300) -> None:
        """Wait until every Deployment and StatefulSet has its pods ready."""
        self.kubectl("rollout", "status", "statefulset", "--timeout", f"{limit_s:g}s", timeout=limit_s + 30)
        self.kubectl(
            "wait",
            "--for=condition=Available",
            "deployment",
            "--all",
            "--timeout",
            f"{limit_s:g}s",
            timeout=limit_s + 30,
        )

    # -- looking ------------------------------------------------------------------------------------------------------

    def kubectl(self, *words: object, given: str | None = None, timeout: float = 600) -> str:
        """Run kubectl in this namespace."""
        return kubectl("-n", self.namespace, *words, given=given, timeout=timeout)

    def get(self, kind: str, name: str = "", **labels: str) -> dict[str, Any]:
        """Return an object, or a list of objects."""
        words = [name] if name else []
        if labels:
            words += ["-l", ",".join(f"{key}={value}" for key, value in labels.items())]
        return json.loads(self.kubectl("get", kind, *words, "-o", "json"))

    def pods(self, component: str = "") -> list[dict[str, Any]]:
        """Return the pods of a service, or all; not those of finished jobs."""
        found = self.get("pods")["items"]
        alive = [pod for pod in found if pod["status"]["phase"] in ("Pending", "Running")]
        label = "app.kubernetes.io/component"
        return [pod for pod in alive if component in ("", pod["metadata"]["labels"].get(label))]

    def status(self, group: str) -> dict[str, Any]:
        """Return the status of a group."""
        return self.get("og", group).get("status", {})

    def condition(self, group: str, kind: str) -> str:
        """Return the status of a condition of a group, or nothing."""
        conditions = self.status(group).get("conditions", [])
        return next((each["status"] for each in conditions if each["type"] == kind), "")

    @property
    def layout(self) -> Layout:
        """The directories of the shard, from outside."""
        fixed = {f"CONTIMG_{key}_DIR": str(self.volumes / key.lower()) for key in ("STATE", "INCOMING")}
        return Layout(self.volumes / "staging", self.volumes / "data", fixed)

    # -- doing --------------------------------------------------------------------------------------------------------

    def apply(self, text: str) -> None:
        """Apply a resource."""
        self.kubectl("apply", "-f", "-", given=text)

    def wait_succeeded(self, group: str, limit_s: float) -> None:
        """Wait as a user does."""
        try:
            self.kubectl(
                "wait", "--for=condition=Succeeded", f"og/{group}", f"--timeout={limit_s:g}s", timeout=limit_s + 30
            )
        except Failed as error:
            raise Failed(f"{error}\n{json.dumps(self.status(group), indent=1)[:4000]}\n{self.explain()}") from None

    def explain(self) -> str:
        """Return what an engineer would look at first."""
        return (
            self.kubectl("get", "pods", "-o", "wide")
            + self.kubectl("get", "events", "--sort-by=.lastTimestamp")[-3000:]
        )

    def drop(self, files: list[Path]) -> None:
        """Let raw files arrive, the last one last."""
        for file in files:
            target = self.volumes / "incoming" / file.name
            shutil.copy(file, target)
            shutil.chown(target, UID, UID)

    def secret(self, name: str) -> dict[str, str]:
        """Return the values of a Secret."""
        data = self.get("secret", f"{self.name}-{name}")["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    @contextlib.contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[int]:
        """Reach a port of a service or pod from outside; yields the local one."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            local = free.getsockname()[1]
        argv = ["kubectl", "-n", self.namespace, "port-forward", target, f"{local}:{port}"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                line = process.stdout.readline() if process.stdout else ""
                assert "Forwarding from" in line, line
                yield local
            finally:
                process.terminate()
