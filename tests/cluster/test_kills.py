"""Faults A: every pod killed while a group is at work, two operators, a drained node, a keeper that is away."""

from __future__ import annotations

import time

import pytest
from cluster.faults import Table, fresh_group, is_replaced, judge, kill, published_after, scale, wait_working
from cluster.release import STAGES, Release, kubectl, node
from waiting import until

OTHERS = {"convert": ("nats", "ingest"), "solve": ("operator",), "image": ("keeper",), "publish": ("minio",)}
"""Services without tasks of their own are killed while this stage is at work."""


@pytest.fixture(scope="module")
def ready(release: Release, sky) -> Release:
    """The release with four recordings."""
    for files in sky.recordings[:4]:
        if not (release.volumes / "incoming" / files[-1].name).exists():
            release.drop(files)
    return release


def test_each_of_thirteen_pods_killed_in_one_group(ready: Release) -> None:
    """One after the other, each while its own stage is at work."""
    table, start = Table("every pod killed mid-group (SIGKILL, pod deleted)"), time.monotonic()
    ready.apply(fresh_group("killed", 6.1))
    for stage in STAGES:
        wait_working(ready, stage)
        for component in (stage, *OTHERS.get(stage, ())):
            began = time.monotonic()
            uid = kill(ready, component)
            until(lambda c=component, u=uid: is_replaced(ready, c, u), 120)
            table.rows.append((component, began - start, time.monotonic() - began))
    took = published_after(ready, "killed")
    table.show()
    print(f"  published {took:.1f} s after the last kill's recovery, {time.monotonic() - start:.1f} s after apply")
    assert len(table.rows) == 13
    judge(ready, "killed")


def test_two_operators_ask_for_everything_once(ready: Release) -> None:
    scale(ready, "deployment", "operator", 2)
    ready.apply(fresh_group("two-operators", 6.2))
    print(f"\ntwo operators: published after {published_after(ready, 'two-operators'):.1f} s")
    scale(ready, "deployment", "operator", 1)
    judge(ready, "two-operators")


def test_a_keeper_that_is_away_for_a_minute_is_waited_for(ready: Release) -> None:
    ready.apply(fresh_group("no-keeper", 6.3))
    wait_working(ready, "image")
    scale(ready, "deployment", "keeper", 0)
    away = time.monotonic()
    until(lambda: time.monotonic() - away > 60, 70)
    assert ready.condition("no-keeper", "Progressing") == "Unknown", ready.status("no-keeper").get("message")
    scale(ready, "deployment", "keeper", 1)
    print(f"\nkeeper away 60 s: published {published_after(ready, 'no-keeper'):.1f} s after it was back")
    judge(ready, "no-keeper")


def test_a_drained_node_hands_its_tasks_back(ready: Release) -> None:
    ready.apply(fresh_group("drained", 6.4))
    wait_working(ready, "image")
    words = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=180s")
    start = time.monotonic()
    kubectl("drain", node(), *words)
    drained = time.monotonic() - start
    kubectl("uncordon", node())
    print(f"\ndrain took {drained:.1f} s, published {published_after(ready, 'drained'):.1f} s after uncordon")
    judge(ready, "drained")
