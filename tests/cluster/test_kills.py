"""Faults A: every pod killed while a group is at work, two operators, a drained node, a keeper that is away."""

from __future__ import annotations

import time

from cluster.faults import (
    Table,
    fresh_group,
    is_replaced,
    judge,
    kill,
    published_after,
    scale,
    wait_begun,
    wait_working,
)
from cluster.release import STAGES, Release, kubectl, node
from waiting import until

OTHERS = {"convert": ("nats", "ingest"), "solve": ("operator",), "image": ("keeper",), "publish": ("minio",)}
"""Services without tasks of their own are killed while this stage is at work."""


def test_each_of_thirteen_pods_killed_in_one_group(release: Release, recordings: None) -> None:
    """One after the other, each while its own stage is at work; of the shortest stages, when it has just been."""
    table, start = Table("every pod killed mid-group (SIGKILL, pod deleted)"), time.monotonic()
    release.apply(fresh_group("killed", 6.1))
    for stage in STAGES:
        wait_begun(release, stage, "killed")
        for component in (stage, *OTHERS.get(stage, ())):
            began = time.monotonic()
            uid = kill(release, component)
            until(lambda c=component, u=uid: is_replaced(release, c, u), 120)
            table.rows.append((component, began - start, time.monotonic() - began))
    took = published_after(release, "killed")
    table.show()
    print(f"  published {took:.1f} s after the last kill's recovery, {time.monotonic() - start:.1f} s after apply")
    assert len(table.rows) == 13
    judge(release, "killed")


def test_two_operators_ask_for_everything_once(release: Release, recordings: None) -> None:
    scale(release, "deployment", "operator", 2)
    release.apply(fresh_group("two-operators", 6.2))
    print(f"\ntwo operators: published after {published_after(release, 'two-operators'):.1f} s")
    scale(release, "deployment", "operator", 1)
    judge(release, "two-operators")


def test_a_keeper_that_is_away_for_a_minute_is_waited_for(release: Release, recordings: None) -> None:
    release.apply(fresh_group("no-keeper", 6.3))
    wait_working(release, "image")
    scale(release, "deployment", "keeper", 0)
    away = time.monotonic()
    until(lambda: time.monotonic() - away > 60, 70)
    assert release.condition("no-keeper", "Progressing") == "Unknown", release.status("no-keeper").get("message")
    scale(release, "deployment", "keeper", 1)
    print(f"\nkeeper away 60 s: published {published_after(release, 'no-keeper'):.1f} s after it was back")
    judge(release, "no-keeper")


def test_a_drained_node_hands_its_tasks_back(release: Release, recordings: None) -> None:
    release.apply(fresh_group("drained", 6.4))
    wait_working(release, "image")
    words = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=180s")
    start = time.monotonic()
    try:
        kubectl("drain", node(), *words)
    finally:
        kubectl("uncordon", node())
    drained = time.monotonic() - start
    print(f"\ndrain took {drained:.1f} s, published {published_after(release, 'drained'):.1f} s after uncordon")
    judge(release, "drained")
