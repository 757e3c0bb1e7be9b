"""The engine's host: what is asked for, how often, and what a silent keeper or a full bus does to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from engine_world import START, World, group_of, observation
from nats_fixture import QUICK

from contimg.bus import Asked, Bus
from contimg.errors import Unavailable
from contimg.host.host import Host
from contimg.models.task import Task
from contimg.servers.nats import NatsServer
from contimg.streams import TASKS

NOW = START + timedelta(hours=2)
MINUTE = timedelta(minutes=1)


@dataclass
class Queue:
    """Takes tasks as the work queue does: one message per subject; for what needs no server."""

    waiting: dict[str, Task] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    full: bool = False
    new: bool = False

    async def ask(self, task: Task) -> Asked:
        self.said.append(task.task)
        if self.full:
            return Asked.FULL
        if task.task in self.waiting:
            return Asked.ALREADY
        self.waiting[task.task] = task
        return Asked.ACCEPTED

    async def ensure_streams(self, stages: list[str]) -> bool:
        self.stages = stages
        return self.new


@pytest.fixture
def world():
    return World(group_of(2)).arrive(*(observation(i, calibrator="3C286") for i in range(3)))


def host_of(world, bus, limits=QUICK):
    async def facts(_group):
        return world.facts()

    return Host(bus, facts, world.specs, limits)


async def look(host, world, now=NOW, previous=None):
    return await host.reconcile(world.group, world.pipeline, previous, now)


async def test_what_the_engine_wants_is_asked_for_once(world):
    queue = Queue()
    host = host_of(world, queue)
    decision = await look(host, world)
    assert [t.stage for t in decision.tasks] == ["convert", "convert"]
    assert queue.said == [t.task for t in decision.tasks]
    await look(host, world)
    assert len(queue.said) == 2, "asked for lately"
    assert host.accepted == set(queue.said)


async def test_after_ten_minutes_it_is_asked_for_again(world):
    queue = Queue()
    host = host_of(world, queue, replace(QUICK, ask_again_s=600.0))
    await look(host, world)
    await look(host, world, NOW + 9.9 * MINUTE)
    assert len(queue.said) == 2
    await look(host, world, NOW + 10 * MINUTE)
    assert len(queue.said) == 4
    await look(host, world, NOW + 15 * MINUTE)
    assert len(queue.said) == 4, "counted from the last time it was asked for"


async def test_another_round_is_another_wish(world):
    queue = Queue()
    host = host_of(world, queue)
    first = await look(host, world)
    spec = world.group.spec.model_copy(update={"replay": 1})
    again = await host.reconcile(world.group.model_copy(update={"spec": spec}), world.pipeline, None, NOW)
    assert [t.task for t in again.tasks] == [t.task for t in first.tasks]
    assert {t.round for t in again.tasks} == {1}
    assert len(queue.said) == 4


async def test_a_recreated_stream_forgets_what_was_asked(world):
    queue = Queue()
    host = host_of(world, queue)
    await look(host, world)
    await host.prepare({"p": world.pipeline})
    await look(host, world)
    assert len(queue.said) == 2
    queue.new = True
    await host.prepare({"p": world.pipeline})
    await look(host, world)
    assert len(queue.said) == 4


async def test_consumers_are_made_for_the_stages_that_are_installed(world):
    queue = Queue()
    await host_of(world, queue).prepare({"p": world.pipeline})
    assert queue.stages == sorted(world.specs)
    assert "ingest" not in queue.stages, "a watcher takes no tasks"


async def test_a_full_bus_is_shown_at_the_next_look_and_asked_again_at_once(world):
    queue = Queue(full=True)
    host = host_of(world, queue)
    await look(host, world)
    assert host.accepted == set()
    second = await look(host, world)
    assert "BusFull" in {c.reason for c in second.status.conditions}
    queue.full = False
    await look(host, world)
    assert len(queue.said) == 6
    assert len(host.accepted) == 2
    last = await look(host, world)
    assert "BusFull" not in {c.reason for c in last.status.conditions}


async def test_a_silent_keeper_stops_asking_and_says_so(world):
    queue = Queue()

    async def silent(_group):
        raise Unavailable("nobody answers")

    decision = await look(Host(queue, silent, world.specs, QUICK), world)
    assert decision.tasks == ()
    assert queue.said == []
    progressing = decision.status.condition("Progressing")
    assert (progressing.status, progressing.reason) == ("Unknown", "FactsUnavailable")


async def test_a_queued_task_is_accepted_by_one_host_only(world):
    """Two hosts after a restart: the second finds the queue filled and does not count the tasks as its own."""
    queue = Queue()
    first, second = host_of(world, queue), host_of(world, queue)
    await look(first, world)
    await look(second, world)
    assert len(first.accepted) == 2
    assert second.accepted == set()


@pytest.mark.integration
async def test_on_a_real_bus_two_hosts_fill_the_queue_once(world, tmp_path):
    with NatsServer(tmp_path / "nats") as server:
        async with await Bus.connect(server.url, server.user, server.password, limits=QUICK) as bus:
            first, second = host_of(world, bus), host_of(world, bus)
            await first.prepare({"p": world.pipeline})
            await second.prepare({"p": world.pipeline})
            decision = await look(first, world)
            await look(second, world)
            state = (await bus._jetstream.stream_info(TASKS)).state
            assert state.messages == len(decision.tasks) == 2
            message = await bus.fetch("convert")
            assert message.parse() in decision.tasks
            await message.ack()
            await bus._jetstream.delete_stream(TASKS)
            await first.prepare({"p": world.pipeline})
            await look(first, world)
            assert (await bus._jetstream.stream_info(TASKS)).state.messages == 2, "asked again at once"
