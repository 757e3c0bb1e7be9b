"""Stages on paper: workers on a real bus that commit what is asked for without doing it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from keeper_state import STEP, sample, write

from contimg.bus import Bus
from contimg.errors import Unavailable
from contimg.models.fact import GroupRecord
from contimg.models.quality import Verdict
from contimg.models.spec import Scope, specs
from contimg.models.task import Task
from contimg.streams import rpc_subject
from contimg.volume.layout import Layout

__all__ = ["commit", "work"]


async def work(bus: Bus, layout: Layout, task_s: float = 0.0, started: Callable[[Task], None] | None = None) -> None:
    """Commit whatever is asked for, one task after the other, until cancelled.

    Parameters
    ----------
    bus
        Its ``fetch_s`` should be short: the stages are asked in turn.
    task_s
        How long each takes.
    started
        Told of every task that begins.
    """
    product = layout.stage_base / "product"
    write(product, "five\n")
    stages = [name for name, spec in specs().items() if spec.scope is not Scope.WATCHER]
    me = asyncio.current_task()
    while me is None or not me.cancelling():  # wait_for of Python 3.11, in the client, may lose a cancellation
        for name in stages:
            try:
                message = await bus.fetch(name)
                while message is not None:
                    task = message.parse()
                    if started is not None:
                        started(task)
                    await commit(bus, layout, product, task, task_s)
                    await message.ack()
                    message = await bus.fetch(name)
            except Unavailable:  # an outage, or the host has not made the consumer yet
                await asyncio.sleep(0.05)


async def commit(bus: Bus, layout: Layout, product: Path, task: Task, task_s: float = 0.0) -> None:
    """Leave of a task what a worker leaves: events, a run on disk, the keeper's knowledge of it."""
    told = {"task": task.task, "group": task.group}
    await bus.event("started", task.stage, task.unit, told)
    await asyncio.sleep(task_s)
    start = datetime.fromisoformat(f"{task.date}T00:00:00+00:00")
    inputs = tuple(name for names in task.inputs.values() for name in names)
    manifest = sample(task.stage, task.unit, task.group, start + STEP, inputs)
    changes = {"task": task.task, "date": task.date, "params": task.params, "info": _info(task)}
    manifest = manifest.model_copy(update=changes)
    run = layout.run(task.home, task.task)
    if not run.exists():
        write(run / "manifest.json", manifest.model_dump_json())
        for item in manifest.products:
            os.link(product, run / item.path)
    subject = rpc_subject(bus.shard, "register")
    await bus.request(subject, {"kind": "run", "task": task.task, "home": task.home})
    if task.stage == "publish":
        record = GroupRecord(
            group=task.group, spec_digest=task.spec_digest, task=task.task, published=True, policy="unless-failed",
            verdict=Verdict.PASS, at=datetime.now(UTC), members=task.members,
        )  # fmt: skip
        await bus.request(subject, {"kind": "group", "record": record.model_dump(mode="json")})
    await bus.event("committed", task.stage, task.unit, told)


def _info(task: Task) -> dict[str, object]:
    """Return what later stages rely on."""
    if task.stage == "publish":
        return {"publish": True, "reason": "", "verdict": "pass", "policy": "unless-failed"}
    if task.stage == "solve":
        return {"mode": "own", "calibrator": "3C48", "transit": f"{task.date}T00:00:00Z", "dec_deg": 33.0}
    return {}
