"""Every named point of the worker's protocol kills a real worker once; a second one must end with the same result."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from crash_worker import LIMITS, layout_of, scenario_task
from nats_fixture import Bench, connected
from sites import points

import contimg
from contimg.models.task import Task
from contimg.servers.nats import NatsServer
from contimg.volume.attempt import is_abandoned, read_records
from contimg.volume.commit import read_run

ROOT = Path(contimg.__file__).parent
SCRIPT = Path(__file__).parents[1] / "support" / "crash_worker.py"

POINTS = {
    "write": [
        "worker.fetched", "attempt.locked", "attempt.made", "attempt.own-locked",
        "write.before@attempt._create_record", "write.after@attempt._create_record",
        "create.before@attempt._create_record", "create.after@attempt._create_record",
        "child.started", "child.done", "worker.answered",
        "remove.after@commit._drop_scratch", "write.before@commit.write_manifest", "write.after@commit.write_manifest",
        "write.before@commit.commit", "write.after@commit.commit", "sync.after@commit.commit",
        "move.before@commit.commit", "move.after@commit.commit", "seal.after@commit.commit",
        "write.before@attempt.close_record", "write.after@attempt.close_record", "worker.committed",
        "worker.effected", "link.before@names._point", "link.before@names._point:3", "link.after@names._point",
        "link.after@names._point:3", "worker.named", "worker.registered", "worker.told", "worker.acked",
    ],
    "retry": [
        "write.before@attempt.close_record", "write.after@attempt.close_record",
        "write.before@failure.close_failed", "write.after@failure.close_failed", "remove.after@failure.close_failed",
        "failure.registered", "failure.handed-back",
    ],
    "final": [
        "write.after@attempt.close_record", "failure.registered", "failure.told", "failure.copied", "failure.given-up",
    ],
    "lost": ["write.after@attempt.close_record", "remove.after@attempt.settle", "remove.after@attempt.settle:2"],
    "copy": [
        "move.copied.before@commit.commit", "move.copied.after@commit.commit", "sync.after@commit.commit:2",
        "remove.after@commit.commit",
    ],
    "rival": ["remove.after@commit.commit"],
    "foreign": ["rename.before@names._point", "rename.after@names._point"],
    "cancel": ["worker.handed-back"],
    "wait": ["write.before@attempt.note_wait", "write.after@attempt.note_wait"],
    "adopt": ["seal.after@commit.adopt"],
    "damaged": ["rename.before@commit.usable_run", "rename.after@commit.usable_run"],
}  # fmt: skip
RACES = {"remove.after@attempt._try_number"}
"""Passed only by two workers at one moment: stepped through in ``test_protocol_machine.py``."""
BY_HAND = {"byhand.py"}
"""Killed in ``tests/unit/contimg/worker/test_byhand.py``."""
CASES = [(scenario, point) for scenario, points in POINTS.items() for point in points]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with NatsServer(tmp_path_factory.mktemp("nats")) as running:
        yield running


def test_every_place_that_changes_the_disk_is_killed_here():
    files = [path for part in ("volume", "worker") for path in sorted((ROOT / part).glob("*.py"))]
    named = {point for path in files if path.name not in {"disk.py", *BY_HAND} for point in points(path)}
    killed = {point for _, point in CASES}
    assert named - killed == RACES
    first = {point.partition(":")[0].replace("move.copied", "move") for point in killed}
    assert first <= {point.partition(":")[0] for point in named}, "a point that is no more"
    assert len(CASES) >= 58


@pytest.mark.parametrize(("scenario", "point"), CASES)
async def test_killed_here_and_started_again(server, tmp_path, monkeypatch, scenario, point):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests/support", "shared", "services"]))
    layout, shard = layout_of(tmp_path, scenario), tmp_path.name.replace(".", "-")
    layout.stage_base.mkdir(parents=True)
    command = [sys.executable, str(SCRIPT), str(tmp_path), server.url, server.user, server.password, shard, scenario]
    ended = await asyncio.to_thread(_run, command, os.environ | {"CONTIMG_CRASH": point})
    assert ended == (0 if point.startswith("child.") else -9)
    task = scenario_task(tmp_path, scenario)
    try:
        async with connected(server, LIMITS, shard) as bus:
            bench = Bench(layout, bus, LIMITS)
            async with bench.working():
                await _drained(bench, shard)
        _check(bench, task, scenario, tmp_path)
    finally:
        if scenario == "copy":
            shutil.rmtree(layout.active("").parent, ignore_errors=True)


def _run(command: list[str], environment: dict[str, str]) -> int:
    return subprocess.run(command, env=environment, timeout=60, check=False).returncode


async def _drained(bench: Bench, shard: str) -> None:
    async with asyncio.timeout(30):
        while True:
            info = await bench.bus._jetstream.consumer_info("CONTIMG_TASKS", f"{shard}-toy")
            if info.num_pending == 0 and info.num_ack_pending == 0:
                return
            await asyncio.sleep(0.02)


def _check(bench: Bench, task: Task, scenario: str, root: Path) -> None:
    records = read_records(bench.layout, task.task)
    numbers = [record.number for record in records]
    assert numbers == sorted(set(numbers))
    assert "running" not in {record.state for record in records}
    left = list(bench.layout.active("").glob("*/*"))
    assert all(is_abandoned(path, 0, time.time()) for path in left), "what is left must be for the clean-up to take"
    assert not {path.name for path in left} & {f"{task.task}-{record.number}" for record in records}
    runs = bench.layout.runs("image")
    kept_aside = [f"{task.task}.damaged-1"] if scenario == "damaged" else []
    if scenario == "final":
        assert not runs.exists()
        assert [r.error for r in records if r.counted] == ["DataQuality"]
        return
    assert sorted(path.name for path in runs.iterdir()) == [task.task, *kept_aside]
    run = read_run(bench.layout, "image", task.task)
    kept = {"manifest.json", *(product.path for product in run.manifest.products)}
    extra = {"rival": set(), "adopt": {"attempt.json", ".lock"}}.get(scenario, {"attempt.json", "log.txt", ".lock"})
    assert {path.name for path in run.path.iterdir()} == kept | extra
    assert not run.path.stat().st_mode & 0o222
    assert sum(record.state == "committed" for record in records) == {"rival": 0, "damaged": 2}.get(scenario, 1)
    assert sum(record.counted for record in records if record.state == "failed") <= (scenario == "retry")
    home = bench.layout.home("image") / task.date
    assert (home / f"{task.unit}.txt").read_text() == "hello"
    standing = {f"{task.unit}.txt"} | (set() if scenario == "rival" else {f"{task.unit}.tree"})
    standing |= {f"{task.unit}.tree.before-1"} if scenario == "foreign" else set()
    assert {path.name for path in home.iterdir()} == standing
    told = (root / "registered").read_text() if (root / "registered").exists() else ""
    assert "run " in told or [one["kind"] for one in bench.registered].count("run") == 1
