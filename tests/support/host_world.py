"""Everything around a host for tests in virtual time: a queue, resources, a keeper, workers, all in memory.

What a server must decide (subjects, limits of a stream) is tested on a real one; here the clock matters.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine_world import DSA, START, World, group_of

from contimg.bus import Asked
from contimg.errors import Unavailable
from contimg.host.host import Host
from contimg.host.resources import Change, Conflict
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts, Needs
from contimg.models.group import ObservationGroup
from contimg.models.survey import FileSetRules
from contimg.models.task import Event, Task

__all__ = ["BEGIN", "MemoryBus", "MemoryKeeper", "MemoryResources", "Observatory"]

BEGIN = START + timedelta(hours=2)


class Unsubscribed:
    async def unsubscribe(self) -> None:
        """Do nothing."""


@dataclass
class MemoryBus:
    """A work queue with one message per subject; delivered ones stay until they are acked."""

    shard: str = "main"
    queue: dict[tuple[str, str], Task] = field(default_factory=dict)
    asked: list[Task] = field(default_factory=list)
    """Every call that was answered."""
    room: int = 10_000
    connected: bool = True
    new: bool = False
    """The stream is gone: the next check makes it anew."""
    stages: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    checks: int = 0
    reconnected: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: list = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def _there(self) -> None:
        if not self.connected:
            raise Unavailable("the bus did not answer")

    async def ask(self, task: Task) -> Asked:
        self._there()
        if self.new:
            raise Unavailable("no such stream")
        self.asked.append(task)
        if (task.stage, task.task) in self.queue:
            return Asked.ALREADY
        if len(self.queue) >= self.room:
            return Asked.FULL
        self.queue[task.stage, task.task] = task
        self.arrived.set()
        return Asked.ACCEPTED

    async def queued(self) -> list[tuple[str, str]]:
        self._there()
        return list(self.queue)

    async def withdraw(self, stage: str, task: str) -> None:
        self._there()
        self.queue.pop((stage, task), None)

    async def ensure_streams(self, stages: list[str]) -> bool:
        self._there()
        self.checks += 1
        self.stages, was_new, self.new = list(stages), self.new, False
        return was_new

    async def measure(self, stages: list[str]) -> None:
        self._there()
        self.measured = list(stages)

    async def subscribe_events(self, callback) -> Unsubscribed:
        self.listeners.append(callback)
        return Unsubscribed()

    async def event(self, kind: str, stage: str, unit: str, data: dict) -> None:
        noun = "ingest" if kind == "sealed" else "task"
        event = Event(
            id="1", source="test", type=f"org.contimg.{noun}.{kind}", subject=f"{stage}/{unit}", time=BEGIN, data=data
        )
        if self.connected:
            for listener in self.listeners:
                await listener(event)

    def lose(self) -> None:
        """Lose the connection."""
        self.connected = False

    def find(self) -> None:
        """Get it back."""
        self.connected = True
        self.reconnected.set()

    def delete_stream(self) -> None:
        self.queue.clear()
        self.new = True


@dataclass
class MemoryKeeper:
    """Answers from a model of the observatory."""

    world: World
    silent: bool = False
    broken: set[str] = field(default_factory=set)
    """Groups whose facts cannot be told."""
    asked: list[Needs] = field(default_factory=list)
    wishes: list[set[str]] = field(default_factory=list)
    told: list[dict[str, FileSetRules]] = field(default_factory=list)

    def _there(self) -> None:
        if self.silent:
            raise Unavailable("nobody serves contimg.rpc.main.facts; is the keeper running?")

    async def facts(self, needs: Needs) -> Facts:
        self._there()
        await asyncio.sleep(0)
        if needs.group in self.broken:
            raise OverflowError("date value out of range")
        self.asked.append(needs)
        return self.world.answer(needs, record=self.world.records.get(needs.group))

    async def survey(self, start: datetime | None, after: str = "") -> Facts:
        """Answer in pages of three."""
        self._there()
        known = sorted(self.world.observations.values(), key=lambda item: (item.start, item.id))
        found = [item for item in known if (start is None or item.start >= start) and item.id > after]
        page = Facts(observations=tuple(found[:3]), ingest=self.world.everything().ingest)
        return page.model_copy(update={"more": found[2].id if len(found) > 3 else ""})

    async def wanted(self, tasks: Iterable[str]) -> None:
        self._there()
        self.wishes.append(set(tasks))

    async def rules(self, rules) -> None:
        self._there()
        self.told.append(dict(rules))

    async def put_inputs(self, _inputs) -> str:
        self._there()
        return "d" * 64


@dataclass
class MemoryResources:
    """Resources with versions, as an API server has them."""

    items: dict[tuple[str, str], object] = field(default_factory=dict)
    statuses: dict[tuple[str, str], object] = field(default_factory=dict)
    written: list[tuple[str, object]] = field(default_factory=list)
    """Every status that was taken, in order."""
    created: list[ObservationGroup] = field(default_factory=list)
    versions: dict[tuple[str, str], int] = field(default_factory=dict)
    changes: asyncio.Queue[Change] = field(default_factory=asyncio.Queue)

    def put(self, *items) -> None:
        """Apply resources, as a user does; the generation rises with the spec."""
        for item in items:
            key = (item.kind, item.name)
            old = self.items.get(key)
            generation = 1 if old is None else old.metadata.generation + (old.spec != item.spec)
            metadata = item.metadata.model_copy(update={"generation": generation})
            self.items[key] = item.model_copy(update={"metadata": metadata})
            self.versions[key] = self.versions.get(key, 0) + 1
            self.changes.put_nowait(Change(*key))

    def edit(self, name: str, **spec) -> None:
        """Change fields of a group's spec."""
        old = self.items["ObservationGroup", name]
        self.put(old.model_copy(update={"spec": old.spec.model_copy(update=spec)}))

    def delete(self, name: str) -> None:
        del self.items["ObservationGroup", name]
        self.statuses.pop(("ObservationGroup", name), None)
        self.changes.put_nowait(Change("ObservationGroup", name))

    def status(self, name: str, kind: str = "ObservationGroup"):
        return self.statuses.get((kind, name))

    async def list(self):
        return [self._dressed(key, item) for key, item in self.items.items()]

    def _dressed(self, key, item):
        metadata = item.metadata.model_copy(update={"resource_version": str(self.versions[key])})
        status = {} if item.kind == "Pipeline" else {"status": self.statuses.get(key)}
        return item.model_copy(update={"metadata": metadata, **status})

    async def watch(self) -> AsyncIterator[Change]:
        while True:
            yield await self.changes.get()

    async def create(self, group: ObservationGroup) -> None:
        self.created.append(group)
        if (group.kind, group.name) not in self.items:
            self.put(group)

    async def put_status(self, resource, status) -> None:
        key = (resource.kind, resource.name)
        if key not in self.items or str(self.versions[key]) != resource.metadata.resource_version:
            raise Conflict(f"{resource.name} has changed")
        self.statuses[key] = status
        self.versions[key] += 1
        self.written.append((resource.name, status))
        self.changes.put_nowait(Change(*key))


class Observatory:
    """Hosts, workers and what they share; made and used inside one virtual loop."""

    def __init__(self, *groups: ObservationGroup, limits: ProtocolLimits | None = None) -> None:
        self.world = World(group_of(1))
        self.bus = MemoryBus()
        self.keeper = MemoryKeeper(self.world)
        self.resources = MemoryResources()
        self.resources.put(DSA, *groups)
        self.limits = limits or ProtocolLimits()
        self.started: list[Task] = []
        """By workers, in order."""
        self.gate = asyncio.Event()
        """Closed: workers finish nothing."""
        self.gate.set()
        self._begin = asyncio.get_running_loop().time()

    def now(self) -> datetime:
        self.world.now = BEGIN + timedelta(seconds=asyncio.get_running_loop().time() - self._begin)
        return self.world.now

    def host(self, **given) -> Host:
        return Host(self.bus, self.keeper, self.resources, self.world.specs, self.limits, now=self.now, **given)

    @contextlib.asynccontextmanager
    async def running(self, host: Host | None = None, *, workers: int = 1, task_s: float = 1.0):
        """Run a host and workers meanwhile."""
        host = host or self.host()
        async with asyncio.TaskGroup() as tasks:
            works = [host.run(), *(self.work(task_s) for _ in range(workers))]
            running = [tasks.create_task(work) for work in works]
            yield host
            for task in running:
                task.cancel()

    async def work(self, task_s: float = 1.0) -> None:
        """Take tasks in the order of the queue, each ``task_s`` long."""
        taken: set[tuple[str, str]] = self.__dict__.setdefault("_taken", set())
        while True:
            key = next((key for key in self.bus.queue if key not in taken), None)
            if key is None:
                await asyncio.sleep(0.05)
                continue
            taken.add(key)
            task = self.bus.queue[key]
            self.now()
            self.world.start(task)
            self.started.append(task)
            data = {"task": task.task, "group": task.group}
            await self.bus.event("started", task.stage, task.unit, data)
            await asyncio.sleep(task_s)
            await self.gate.wait()
            self.now()
            self.world.commit(task)
            await self.bus.event("committed", task.stage, task.unit, data)
            self.bus.queue.pop(key, None)
            taken.discard(key)

    async def until(self, condition, within_s: float = 36_000.0):
        """Wait in virtual time until something holds."""
        async with asyncio.timeout(within_s):
            while not (value := condition()):  # noqa: ASYNC110 - the clock is virtual
                await asyncio.sleep(0.25)
        return value

    def phase(self, name: str) -> str:
        status = self.resources.status(name)
        return str(status.phase) if status is not None else ""
