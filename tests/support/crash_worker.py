"""One toy worker in a process of its own, to be killed at a named point.

Usage: ``python crash_worker.py <root> <url> <user> <password> <shard> <scenario>``. Asks for the scenario's task and
works until it is done. A point in the child kills the child alone; after that the worker must see it through itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from nats_fixture import QUICK
from toy_stages import DATE, SPEC, toy_task

from contimg.bus import Bus
from contimg.models.manifest import Usage
from contimg.models.task import Task
from contimg.stage import ProductDraft, StageResult
from contimg.volume import disk
from contimg.volume.attempt import open_attempt
from contimg.volume.commit import Reply, commit
from contimg.volume.layout import Layout
from contimg.worker.worker import Worker

__all__ = ["LIMITS", "layout_of", "scenario_task"]

LIMITS = replace(QUICK, ack_wait_s=0.6)
_HOW = {
    "cancel": "pause", "gate": "gate", "final": "quality", "retry": "once", "rival": "rival",
    "allocate": "allocate", "gulp": "gulp", "flood": "flood",
}  # fmt: skip
_LIMITS = {"wait": {"space_floor_bytes": 2**60}, "gulp": {"sample_s": 30.0}}
"""A disk that is too small, and a parent that looks too late."""
IN_MEMORY = {"copy", "flood"}
"""Scenarios whose workspace lies on a tmpfs."""


def layout_of(root: Path, scenario: str) -> Layout:
    """Return the layout; some scenarios have their workspace on another file system."""
    elsewhere = {"CONTIMG_WORKSPACE_DIR": f"/dev/shm/{root.name}"} if scenario in IN_MEMORY else {}  # noqa: S108
    return Layout(root / "stage", root / "data", elsewhere)


def scenario_task(root: Path, scenario: str) -> Task:
    """Return the task of a scenario."""
    return toy_task(_HOW.get(scenario, "write"), path=str(root / "flag"))


def _prepare(layout: Layout, task: Task, scenario: str) -> None:
    if scenario == "lost":
        open_attempt(layout, SPEC.workspace, task, 0).release()
        (layout.runs("image") / f".tmp-{task.task}-1").mkdir(parents=True)
    if scenario in {"adopt", "damaged"}:
        attempt = open_attempt(layout, SPEC.workspace, task, 0)
        for name in ("toy.txt", "toy.tree"):
            disk.write(attempt.path / name, task.params["text"])
        named = (("toy.tree", "tree", ""), ("toy.txt", "txt", "fits"))
        drafts = [ProductDraft("image", p, p, (f"{task.date}/{task.unit}.{end}",), role) for p, end, role in named]
        run = commit(layout, attempt, task, Reply(StageResult(tuple(drafts))), Usage())
        attempt.release()
        run.path.chmod(0o755)
        if scenario == "damaged":
            (run.path / "toy.txt").unlink()
    if scenario == "foreign":
        standing = layout.home("image") / DATE / f"{task.unit}.tree"
        standing.mkdir(parents=True)
        (standing / "mine").write_text("of a person")


async def _main(root: Path, url: str, user: str, password: str, shard: str, scenario: str) -> None:
    layout, task = layout_of(root, scenario), scenario_task(root, scenario)
    _prepare(layout, task, scenario)
    done = asyncio.Event()

    async def register(payload: dict[str, object]) -> None:
        with (root / "registered").open("a") as notes:
            notes.write(f"{payload['kind']} {payload['number']}\n")
        if os.environ["CONTIMG_CRASH"].startswith("child."):
            del os.environ["CONTIMG_CRASH"]
            os.environ["CONTIMG_CRASH"] = "none"

    async with await Bus.connect(url, user, password, shard=shard, limits=LIMITS) as bus:
        await bus.ensure_streams([SPEC.name])
        await bus.ask(task)
        worker = Worker(layout, bus, SPEC, replace(LIMITS, **_LIMITS.get(scenario, {})), register)
        running = asyncio.create_task(worker.run())
        if scenario == "cancel":
            while not (root / "flag").exists():  # noqa: ASYNC110 - the child decides
                await asyncio.sleep(0.005)
            running.cancel()
        else:
            stopping = asyncio.create_task(_stop_when_done(bus, shard, worker))
            done.set()
            await stopping
        await asyncio.wait({running})


async def _stop_when_done(bus: Bus, shard: str, worker: Worker) -> None:
    while True:
        info = await bus._jetstream.consumer_info("CONTIMG_TASKS", f"{shard}-toy")
        if info.num_pending == 0 and info.num_ack_pending == 0:
            worker.stop()
            return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), *sys.argv[2:7]))
