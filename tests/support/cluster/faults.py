"""What the tests of faults share: groups whose tasks nobody did before, kills as of a broken node, one table."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from cluster.release import STAGES, Failed, Release
from processes import manifests
from waiting import until

__all__ = ["Table", "attempts", "fresh_group", "judge", "kill", "working"]

GROUP = """\
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {{name: {name}}}
spec:
  pipeline: dsa110-continuum
  observations: {{start: 2026-01-25T23:00:00Z, count: 4}}
  stages:
    convert: {{min_antennas: 15, rfi_sigma: {sigma}}}
    image: {{cell_arcsec: 20, size: 600}}
"""
_TASKS = {stage: 4 if stage in ("convert", "apply", "image") else 1 for stage in STAGES}


def fresh_group(name: str, sigma: float) -> str:
    """Return a group over the four recordings whose tasks all differ from those of another ``sigma``."""
    return GROUP.format(name=name, sigma=sigma)


def working(release: Release, stage: str) -> bool:
    """Tell whether an attempt of a stage is at work."""
    for path in (release.volumes / "staging" / "workspace" / "active").glob("*/*/attempt.json"):
        with contextlib.suppress(OSError, ValueError):
            if json.loads(path.read_text())["stage"] == stage:
                return True
    return False


def kill(release: Release, component: str) -> str:
    """SIGKILL whatever runs in a service's pod and take the pod away, as when its node breaks down."""
    pod = release.pods(component)[0]
    for cgroup in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if f"pod{pod['metadata']['uid']}/" in cgroup.read_text():
                os.kill(int(cgroup.parent.name), signal.SIGKILL)
    name = pod["metadata"]["name"]
    release.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
    return pod["metadata"]["uid"]


def is_replaced(release: Release, component: str, uid: str) -> bool:
    """Tell whether another pod of the service is ready."""
    for pod in release.pods(component):
        ready = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}.get("Ready")
        if pod["metadata"]["uid"] != uid and ready == "True":
            return True
    return False


def attempts(release: Release, group: str) -> list[dict]:
    """Return the records of all attempts that a group asked for."""
    found = [json.loads(path.read_text()) for path in (release.volumes / "state" / "attempts").glob("*/*.json")]
    return [each for each in found if each.get("group") == group]


@dataclass
class Table:
    """Rows of what was done to a group and how long it took to recover."""

    title: str
    rows: list[tuple[str, float, float]] = field(default_factory=list)

    def show(self) -> None:
        """Print it."""
        print(f"\n{self.title}")
        for name, at, took in self.rows:
            print(f"  {name:<34} at {at:6.1f} s   recovered after {took:6.1f} s")


def judge(release: Release, group: str) -> None:
    """Check what must hold after any fault: published, one run per task, no try used up, nothing twice or lost."""
    made = [each for each in manifests(release.layout).values() if each.group == group]
    count = Counter(each.stage for each in made)
    assert count == _TASKS, f"runs by stage: {count}"
    tried = attempts(release, group)
    committed = Counter(each["task"] for each in tried if each["state"] == "committed")
    assert all(number == 1 for number in committed.values()), committed
    failed = [each for each in tried if each["state"] == "failed" and each["counted"]]
    assert not failed, [(each["stage"], each["error"], each["message"]) for each in failed]
    lost = Counter(each["stage"] for each in tried if each["state"] == "failed")
    print(f"  attempts that were lost and made again, by stage: {dict(lost)}")
    homes = release.volumes / "staging"
    runs = Counter(path.name for path in homes.glob("**/.runs/*") if re.fullmatch(r"[0-9a-f]{32}", path.name))
    assert all(number == 1 for number in runs.values()), "a run lies twice"


def wait_working(release: Release, stage: str, limit_s: float = 240) -> None:
    """Wait until an attempt of a stage is at work."""
    until(lambda: working(release, stage), limit_s)


def wait_begun(release: Release, stage: str, group: str, limit_s: float = 240) -> None:
    """Wait until an attempt of a stage is at work for a group, or has been: some take a tenth of a second."""
    until(lambda: any(each["stage"] == stage for each in attempts(release, group)), limit_s)


def scale(release: Release, kind: str, component: str, replicas: int) -> None:
    """Give a service another number of pods, and wait for it."""
    release.kubectl("scale", kind, f"{release.name}-{component}", f"--replicas={replicas}")
    if replicas:
        release.kubectl("rollout", "status", f"{kind}/{release.name}-{component}", "--timeout=120s")
    else:
        until(lambda: not release.pods(component), 120)


def published_after(release: Release, group: str, limit_s: float = 420) -> float:
    """Wait for the mosaic and return the seconds it took."""
    start = time.monotonic()
    release.wait_succeeded(group, limit_s)
    return time.monotonic() - start


def is_up(release: Release) -> bool:
    """Tell whether the API server answers and every pod is ready."""
    with contextlib.suppress(Failed):
        pods = release.pods()
        return len(pods) >= 13 and all(
            condition["status"] == "True"
            for pod in pods
            for condition in pod["status"].get("conditions", [])
            if condition["type"] == "Ready"
        )
    return False
