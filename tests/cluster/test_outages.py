"""Faults B: the bus's volume and all databases deleted, the whole cluster stopped and started."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
from cluster.faults import fresh_group, is_up, judge, published_after, scale, wait_working
from cluster.release import OWN, ROOT, Release
from waiting import until

pytestmark = pytest.mark.slow

SCRIPTS = ROOT / "tests" / "support" / "cluster"


def test_the_volume_of_the_bus_is_lost(release: Release, recordings: None) -> None:
    release.apply(fresh_group("no-bus", 6.5))
    wait_working(release, "apply")
    start = time.monotonic()
    scale(release, "statefulset", "nats", 0)
    for path in (release.volumes / "bus").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    scale(release, "statefulset", "nats", 1)
    print(f"\nbus volume deleted: bus back after {time.monotonic() - start:.1f} s, ", end="")
    print(f"published {published_after(release, 'no-bus'):.1f} s later")
    judge(release, "no-bus")


def test_the_four_databases_are_lost(release: Release, recordings: None) -> None:
    release.apply(fresh_group("no-databases", 6.6))
    wait_working(release, "apply")
    start = time.monotonic()
    scale(release, "deployment", "keeper", 0)
    lost = list((release.volumes / "state").glob("*.sqlite3*"))
    assert len({path.name.split(".")[0] for path in lost}) >= 4
    for path in lost:
        path.unlink()
    scale(release, "deployment", "keeper", 1)
    print(f"\nfour databases deleted: keeper ready after {time.monotonic() - start:.1f} s, ", end="")
    print(f"published {published_after(release, 'no-databases'):.1f} s later")
    judge(release, "no-databases")


@pytest.mark.skipif(not OWN, reason="the cluster belongs to somebody else")
def test_the_whole_cluster_is_stopped_and_started(release: Release, recordings: None) -> None:
    release.apply(fresh_group("stopped", 6.7))
    wait_working(release, "image")
    start = time.monotonic()
    subprocess.run([SCRIPTS / "down.sh"], check=True, timeout=120)
    subprocess.run([SCRIPTS / "up.sh"], check=True, timeout=180)
    print(f"\nwhole cluster stopped and started: node ready after {time.monotonic() - start:.1f} s, ", end="")
    until(lambda: is_up(release), 300)
    print(
        f"all pods after {time.monotonic() - start:.1f} s, published {published_after(release, 'stopped'):.1f} s later"
    )
    judge(release, "stopped")
