"""A release of the chart on a real cluster, and simulated recordings for it; skipped outside ``./run cluster test``."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cluster.release import OWN, ROOT, Release, kubectl
from commands import contimg

STRIP = ROOT / "docs" / "samples" / "sky.yaml"
FILES_PER_RECORDING = 16
NAMESPACE = "contimg"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if "CLUSTER_VOLUMES" not in os.environ:
                item.add_marker(pytest.mark.skip(reason="needs a cluster: ./run cluster test"))


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_somebody_else() -> None:
    """Namespace and volumes are taken away before the tests: on a cluster of others they must not be there."""
    if not OWN and kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name"):
        why = f"the cluster of KUBECONFIG has a namespace {NAMESPACE}, which these tests would delete with its volumes"
        cure = f"unset KUBECONFIG, name another cluster, or, if nobody needs it, kubectl delete namespace {NAMESPACE}"
        pytest.exit(f"{why}; {cure}", returncode=1)


@dataclass
class Sky:
    """Simulated recordings in time order."""

    directory: Path
    recordings: list[list[Path]]
    """Files of each recording."""


@dataclass
class Clock:
    """When what happened, in seconds after the start."""

    start: float = field(default_factory=time.monotonic)
    marks: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str) -> float:
        """Note that something happened, and return the seconds since the mark before it."""
        before = max(self.marks.values(), default=0.0)
        self.marks[name] = time.monotonic() - self.start
        return self.marks[name] - before


def simulated(settings: str) -> Sky:
    """Return recordings of these settings; they are made once and kept in the cache."""
    home = Path(os.environ["CLUSTER_DATA"]) / hashlib.sha256(settings.encode()).hexdigest()[:12]
    if not home.exists():
        part = home.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        home.with_suffix(".yaml").write_text(settings)
        made = contimg("simulate", "dsa110", part, "--config", home.with_suffix(".yaml"))
        assert made.code == 0, made.err
        part.rename(home)
    files = sorted(home.glob("*.hdf5"))
    count = range(0, len(files), FILES_PER_RECORDING)
    return Sky(home, [files[first : first + FILES_PER_RECORDING] for first in count])


@pytest.fixture(scope="session")
def sky() -> Sky:
    """Eight recordings of one night."""
    return simulated(STRIP.read_text())


@pytest.fixture(scope="session")
def next_night() -> Sky:
    """Eight recordings of the night after."""
    return simulated(STRIP.read_text().replace("2026-01-25", "2026-01-26"))


def remove_namespace(name: str) -> None:
    """Take a namespace away with all that an earlier test left in it."""
    kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=120s")
    for volume in kubectl("get", "pv", "-o", "name").split():
        claim = kubectl("get", volume, "-o", "jsonpath={.spec.claimRef.namespace}")
        if claim == name:
            kubectl("delete", volume)


@pytest.fixture(scope="session")
def clock() -> Clock:
    """Starts when the release is about to be installed."""
    return Clock()


@pytest.fixture(scope="session")
def release(sky: Sky, clock: Clock) -> Iterator[Release]:
    """The release that most tests share, installed and ready."""
    release = Release(NAMESPACE, Path(os.environ["CLUSTER_VOLUMES"]) / NAMESPACE)
    remove_namespace(release.namespace)
    shutil.rmtree(release.volumes, ignore_errors=True)
    release.prepare()
    catalogs = release.volumes / "state" / "config" / "catalogs"
    catalogs.mkdir(parents=True)
    shutil.copy(sky.directory / "catalog.ecsv", catalogs)
    for path in (catalogs.parent, catalogs, catalogs / "catalog.ecsv"):
        shutil.chown(path, 10001, 10001)
    clock.start = time.monotonic()
    release.install()
    clock.mark("helm install returns")
    try:
        release.wait_ready()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{release.explain()}") from None
    clock.mark("all pods ready")
    yield release
    release.uninstall()
    remove_namespace(release.namespace)


@pytest.fixture(scope="session")
def recordings(release: Release, sky: Sky) -> None:
    """Four recordings have arrived."""
    for files in sky.recordings[:4]:
        if not (release.volumes / "incoming" / files[-1].name).exists():
            release.drop(files)
