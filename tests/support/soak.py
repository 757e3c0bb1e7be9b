"""Random kills of worker, child, keeper and nats-server while a stream of small tasks goes through them.

Real processes, real kills; the supervisor only starts what is dead, asks for what is not committed, as the engine's
host does, and opens another round where the tries of a task were used up by bad luck.

``python soak.py worker|keeper <root> <url> <user> <password>`` is one of the processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from nats_fixture import QUICK
from toy_stages import SPEC, toy_task

from contimg.bus import Bus
from contimg.errors import ContimgError, Unavailable
from contimg.keeper.cleanup import clean_attempts
from contimg.keeper.keeper import Keeper
from contimg.keeper.service import KeeperClient, serve_keeper
from contimg.models.fact import Needs
from contimg.models.task import Task
from contimg.servers.nats import NatsServer
from contimg.volume.attempt import is_abandoned, read_records
from contimg.volume.commit import read_run
from contimg.volume.layout import Layout
from contimg.worker.worker import Worker, register_over

__all__ = ["Soak"]

LIMITS = replace(QUICK, ack_wait_s=1.0, fetch_s=0.5, lost_cap=1000)
OPEN = 6
"""Tasks that are under way at a time."""
IN_WORK = 0.75
"""Share of the kills that fall into an attempt; the others come at any moment."""
BEGIN_S = 10.0


def _layout(root: Path) -> Layout:
    return Layout(root / "stage", root / "data")


async def _worker(root: Path, bus: Bus) -> None:
    await Worker(_layout(root), bus, SPEC, LIMITS, register_over(bus), slots=2).run()


async def _keeper(root: Path, bus: Bus) -> None:
    with Keeper(_layout(root), LIMITS) as keeper:
        await serve_keeper(bus, keeper, bus.shard)
        await asyncio.Event().wait()


async def _process(kind: str, root: Path, url: str, user: str, password: str) -> None:
    async with await Bus.connect(url, user, password, limits=LIMITS) as bus:
        await {"worker": _worker, "keeper": _keeper}[kind](root, bus)


@dataclass
class Soak:
    """One soak: everything is decided by ``seed`` but the exact moments."""

    root: Path
    kills: int
    seed: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    tasks: list[Task] = field(default_factory=list)
    rounds: Counter[str] = field(default_factory=Counter)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    async def run(self) -> None:
        """Kill, restart, ask; then let everything finish."""
        dice = random.Random(self.seed)  # noqa: S311 - which to kill
        self.layout = _layout(self.root)
        self.layout.stage_base.mkdir(parents=True)
        with NatsServer(self.root / "nats") as server:
            try:
                async with await Bus.connect(server.url, server.user, server.password, limits=LIMITS) as bus:
                    while sum(self.killed.values()) < self.kills:
                        await self._tend(bus, server)
                        if dice.random() < IN_WORK:
                            await self._begun(bus, server)
                        await asyncio.sleep(dice.uniform(0.0, 0.4))
                        self._kill(dice, server)
                    await self._finish(bus, server)
            finally:
                for process in self._processes.values():
                    process.kill()
                    process.wait()

    async def _begun(self, bus: Bus, server: NatsServer) -> None:
        """Wait a while until an attempt begins: else kills on a slow machine would hit idle processes only."""
        before, deadline = self._attempts(), time.monotonic() + BEGIN_S
        while self._attempts() == before and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            await self._tend(bus, server)

    def _attempts(self) -> int:
        return sum(1 for _ in self.layout.attempts.glob("*/*.json"))

    async def _tend(self, bus: Bus, server: NatsServer) -> None:
        """Start what is dead, and ask for what is not done."""
        if server.pid is None:
            server.start()
        for kind in ("worker", "keeper"):
            if kind not in self._processes or self._processes[kind].poll() is not None:
                command = [sys.executable, __file__, kind, str(self.root), server.url, server.user, server.password]
                with (self.root / f"{kind}.log").open("ab") as log:
                    self._processes[kind] = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220
        with contextlib.suppress(ContimgError):
            await bus.ensure_streams([SPEC.name])
            while len(undone := self.undone()) < OPEN and sum(self.killed.values()) < self.kills:
                how = ("slow", "slow", "once", "write")[len(self.tasks) % 4]
                self.tasks.append(
                    toy_task(how, unit=f"u{len(self.tasks)}", path=str(self.root / f"f{len(self.tasks)}"))
                )
            for task in undone:
                await bus.ask(task.model_copy(update={"round": self._round(task)}))

    def undone(self) -> list[Task]:
        """Return the tasks without a run."""
        return [task for task in self.tasks if read_run(self.layout, "image", task.task) is None]

    def _round(self, task: Task) -> int:
        """Return the round to ask for: a new one when the tries of the last are used up."""
        failed = Counter(r.round for r in read_records(self.layout, task.task) if r.state == "failed" and r.counted)
        self.rounds[task.task] += failed[self.rounds[task.task]] >= task.limits.tries
        return self.rounds[task.task]

    def _kill(self, dice: random.Random, server: NatsServer) -> None:
        victim = dice.choice(("worker", "child", "child", "keeper", "nats-server"))
        if victim == "nats-server":
            server.kill()
        elif victim == "child":
            with contextlib.suppress(psutil.Error, IndexError):
                dice.choice(psutil.Process(self._processes["worker"].pid).children()).kill()
        else:
            self._processes[victim].kill()
            self._processes[victim].wait()
        self.killed[victim] += 1

    async def _finish(self, bus: Bus, server: NatsServer) -> None:
        async with asyncio.timeout(120):
            while True:
                await self._tend(bus, server)
                with contextlib.suppress(ContimgError, Exception):
                    info = await bus._jetstream.consumer_info("CONTIMG_TASKS", f"{bus.shard}-toy")
                    if not self.undone() and info.num_pending == info.num_ack_pending == 0:
                        break
                await asyncio.sleep(0.1)
            self.facts = await self._facts(bus)

    async def _facts(self, bus: Bus) -> set[str]:
        while True:
            with contextlib.suppress(Unavailable):
                needs = Needs(group="g1", tasks=tuple(task.task for task in self.tasks))
                return set((await KeeperClient(bus, bus.shard).facts(needs)).runs)
            await asyncio.sleep(0.1)

    def check(self) -> None:
        """Compare what is left on the disk with what should be."""
        assert {path.name for path in self.layout.runs("image").iterdir()} == {task.task for task in self.tasks}
        assert self.facts == {task.task for task in self.tasks}
        home = self.layout.home("image") / self.tasks[0].date
        assert {path.name for path in home.iterdir()} == {
            f"{t.unit}.{kind}" for t in self.tasks for kind in ("tree", "txt")
        }
        for task in self.tasks:
            run = read_run(self.layout, "image", task.task)
            assert {path.name for path in run.path.iterdir()} >= {"manifest.json", "toy.tree", "toy.txt"}
            assert (home / f"{task.unit}.txt").samefile(run.path / "toy.txt")
            records = read_records(self.layout, task.task)
            assert len({record.number for record in records}) == len(records)
            assert [record.state for record in records if record.number == run.manifest.attempt] == ["committed"]
            assert "running" not in {record.state for record in records}
        assert all(is_abandoned(path, 0) for path in self.layout.active("").glob("*/*"))
        clean_attempts(self.layout, replace(LIMITS, abandoned_s=0.0), datetime.now(UTC))
        assert not list(self.layout.active("").glob("*/*")), "the clean-up takes what lost workers left"


if __name__ == "__main__":
    asyncio.run(_process(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:6]))
