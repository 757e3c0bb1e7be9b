"""Keeper, ingest, host and every stage as processes of their own, each killed once, beside the run in one process."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from commands import contimg
from processes import MODULES, Shard, differing, manifests, published

from contimg.cli.demo import lay_out
from contimg.volume.layout import Layout

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LIMIT_S = 600.0
GROUP = "ngc5921"
TWICE = ("convert", "image")
DUE = (("ingest", 0), ("keeper", 3), ("server", 5), ("host", 6), ("keeper", 9), ("host", 12))
"""What is killed when so many runs are on record."""
TIMES = {"CONTIMG_TIME_SCALE": "0.1", "CONTIMG_LIMIT_RPC_S": "10", "CONTIMG_LIMIT_FROZEN_AFTER_S": "60"}
"""A killed worker costs seconds: its message comes back after a tenth of the usual time."""


def running_stage(layout: Layout) -> set[str]:
    """Return the stages that have an attempt at work."""
    return {
        json.loads(path.read_text())["stage"] for path in layout.active("").glob("*/*/attempt.json") if path.exists()
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Layout:
    directory = tmp_path_factory.mktemp("alone") / "demo"
    finished = contimg("demo", "--dir", directory)
    assert finished.code == 0, finished.err[-3000:]
    return Layout(directory / "stage", directory / "data")


@pytest.fixture(scope="module")
def apart(tmp_path_factory) -> tuple[Layout, Shard]:
    """Let a shard of processes publish the same group while each of them is killed once."""
    directory = tmp_path_factory.mktemp("apart")
    layout = lay_out(directory / "demo")
    orders = layout.state / "config" / "groups"
    orders.mkdir(parents=True)
    shutil.copy(directory / "demo" / f"{GROUP}.yaml", orders)
    begin = time.monotonic()
    with Shard(layout, directory / "logs", **TIMES) as shard:
        while not published(layout, GROUP):
            assert time.monotonic() - begin < LIMIT_S, {name: shard.log(name)[-1500:] for name in MODULES}
            kill_what_is_due(layout, shard)
            assert list(shard.watch_over()) == []
            time.sleep(0.05)
    return layout, shard


def kill_what_is_due(layout: Layout, shard: Shard) -> None:
    """Kill a worker at its first attempt, two of them again; the others as runs come on record."""
    for stage in running_stage(layout):
        if shard.kills[stage] < (2 if stage in TWICE else 1):
            shard.kill(stage)
    if not any(layout.observations.glob("*/*")):
        return
    done = len(list(layout.manifests.glob("*/*.json")))
    for name, after in DUE:
        due = sum(done >= number for other, number in DUE if other == name)
        if done >= after and shard.kills[name] < due:
            shard.kill(name)


def test_every_process_was_killed_and_some_twice(apart):
    kills = apart[1].kills
    assert {name: count for name, count in kills.items() if not count} == {}
    assert sum(kills.values()) >= 15


def test_it_has_the_tasks_of_the_run_in_one_process(alone, apart):
    assert set(manifests(apart[0])) == set(manifests(alone))


def test_the_products_have_the_same_bytes(alone, apart):
    assert differing(apart[0], alone) == {}


def test_nothing_is_doubled_or_lost(apart):
    layout = apart[0]
    runs = [path.name for path in layout.stage_base.glob("**/.runs/*") if not path.name.startswith(".")]
    assert sorted(runs) == sorted(set(runs)) == sorted(manifests(layout))
    for manifest in manifests(layout).values():
        for product in manifest.products:
            for name in product.names:
                assert (layout.home(product.type) / name).exists(), name


def test_logs_are_json_lines(apart):
    for name in MODULES:
        for line in apart[1].log(name).splitlines():
            assert json.loads(line)["service"] == name


def test_the_archive_holds_what_was_published(alone, apart):
    def files(layout: Layout) -> set[str]:
        found = (
            path for path in Path(layout.archive).rglob("*") if ".runs" not in path.parts and ".locks" not in path.parts
        )
        return {str(path.relative_to(layout.archive)) for path in found}

    assert files(apart[0]) == files(alone)
