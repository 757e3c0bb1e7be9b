"""Every named point of the worker's protocol kills a real worker once; a second one must end with the same result."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from crash_worker import LIMITS, layout_of, scenario_task
from nats_fixture import Bench, connected

import contimg
from contimg import crash
from contimg.models.task import Task
from contimg.servers.nats import NatsServer
from contimg.volume.attempt import is_abandoned, read_records
from contimg.volume.commit import read_run

ROOT = Path(contimg.__file__).parent
SCRIPT = Path(__file__).parents[1] / "support" / "crash_worker.py"

POINTS = {
    "write": [
        "worker.fetched", "attempt.locked", "attempt.made", "attempt.own-locked", "disk.written", "disk.replaced",
        "disk.written:2", "disk.replaced:2", "disk.written:3", "disk.replaced:3", "disk.written:4", "disk.replaced:4",
        "attempt.noted", "attempt.recorded", "child.started", "child.done", "worker.answered", "commit.begun",
        "commit.summed", "commit.scratch-dropped", "commit.attempt-closed", "commit.manifest-written", "commit.synced",
        "commit.renamed", "commit.parent-synced", "commit.read-only", "commit.recorded", "worker.committed",
        "worker.effected", "names.begun", "names.linked", "names.linked:3", "names.replaced", "names.replaced:3",
        "names.synced", "worker.named", "worker.registered", "worker.told", "worker.acked",
    ],
    "retry": [
        "failure.recorded", "failure.kept", "failure.logged", "failure.removed", "failure.registered",
        "failure.handed-back",
    ],
    "final": ["failure.recorded", "failure.registered", "failure.told", "failure.copied", "failure.given-up"],
    "lost": ["attempt.settled", "attempt.swept"],
    "copy": ["commit.copied", "commit.copy-synced", "commit.copy-renamed"],
    "rival": ["commit.dropped"],
    "foreign": ["names.exchanged"],
    "cancel": ["worker.handed-back"],
}  # fmt: skip
CASES = [(scenario, point) for scenario, points in POINTS.items() for point in points]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with NatsServer(tmp_path_factory.mktemp("nats")) as running:
        yield running


def test_every_point_of_the_worker_is_killed_here():
    named = {name for name, path in crash.points(ROOT).items() if path.parent.name == "stage"}
    assert named == {point.partition(":")[0] for _, point in CASES}
    assert len(crash.points(ROOT)) >= 40


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
    assert all(is_abandoned(path, 0) for path in left), "what is left must be for the clean-up to take"
    assert not {path.name for path in left} & {f"{task.task}-{record.number}" for record in records}
    runs = bench.layout.runs("image")
    if scenario == "final":
        assert not runs.exists()
        assert [r.error for r in records if r.counted] == ["DataQuality"]
        return
    assert [path.name for path in runs.iterdir()] == [task.task]
    run = read_run(bench.layout, "image", task.task)
    kept = {"manifest.json", *(product.path for product in run.manifest.products)}
    extra = set() if scenario == "rival" else {"attempt.json", "log.txt", ".lock"}
    assert {path.name for path in run.path.iterdir()} == kept | extra
    assert not run.path.stat().st_mode & 0o222
    assert sum(record.state == "committed" for record in records) == (scenario != "rival")
    assert sum(record.counted for record in records if record.state == "failed") <= (scenario == "retry")
    home = bench.layout.home("image") / task.date
    assert (home / f"{task.unit}.txt").read_text() == "hello"
    standing = {f"{task.unit}.txt"} | (set() if scenario == "rival" else {f"{task.unit}.tree"})
    standing |= {f"{task.unit}.tree.before-{task.task}"} if scenario == "foreign" else set()
    assert {path.name for path in home.iterdir()} == standing
    told = (root / "registered").read_text() if (root / "registered").exists() else ""
    assert "run " in told or [one["kind"] for one in bench.registered].count("run") == 1
