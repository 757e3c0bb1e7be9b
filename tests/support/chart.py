"""The Helm chart as a cluster gets it: what ``helm template`` makes of values, and how its containers are started."""

from __future__ import annotations

import base64
import functools
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from apiserver import KUBE
from chart_files import CHART

__all__ = ["SETS", "containers", "environment", "find", "helm", "needs_helm", "pods", "rendered"]

SETS = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))
"""Names of the value sets in ``ci/``."""
needs_helm = pytest.mark.skipif(
    not os.environ.get("CI") and not (KUBE / "helm").exists(),
    reason=f"helm is not in {KUBE}; ./run programs builds it",
)
Object = dict[str, Any]


def helm(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run helm without the user's settings."""
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
    return subprocess.run([str(KUBE / "helm"), *words], env=clean, capture_output=True, text=True, check=False)


@functools.cache
def rendered(values: str = "local", *settings: str, release: str = "contimg") -> list[Object]:
    """Return the objects of a value set of ``ci/`` with further settings, e.g. ``nats.replicas=3``."""
    words = [f"--set={setting}" for setting in settings]
    done = helm("template", release, str(CHART), "-n", "tel", "-f", str(CHART / "ci" / f"{values}.yaml"), *words)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Return the one object of a kind and name."""
    (found,) = [item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name]
    return found


def pods(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Yield every pod's metadata and spec, also of what makes pods."""
    for item in objects:
        if item["kind"] == "Pod":
            yield item["metadata"], item["spec"]
        elif item["kind"] in {"Deployment", "StatefulSet", "Job"}:
            template = item["spec"]["template"]
            yield item["metadata"] | template["metadata"], template["spec"]


def containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Yield every container with the name of its pod."""
    for metadata, spec in pods(objects):
        for container in spec["containers"]:
            yield metadata["name"], container


def environment(container: Object, objects: list[Object]) -> dict[str, str]:
    """Return the variables of a container as the kubelet would set them."""
    found: dict[str, str] = {}
    for item in container["env"]:
        source = item.get("valueFrom", {})
        if "secretKeyRef" in source:
            data = find(objects, "Secret", source["secretKeyRef"]["name"])["data"]
            found[item["name"]] = base64.b64decode(data[source["secretKeyRef"]["key"]]).decode()
        elif "fieldRef" in source:
            found[item["name"]] = "pod-0"
        else:
            value = item["value"]
            for name, known in found.items():
                value = value.replace(f"$({name})", known)
            found[item["name"]] = value
    return found
