"""Asking: each wish once in ten minutes, too many inputs by their digest, and what nobody wants is withdrawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from host_world import MemoryBus
from nats_fixture import QUICK, connected
from toy_stages import SPEC, toy_task

from contimg.bus import Asked
from contimg.errors import BadConfig, Unavailable
from contimg.host.asking import Asking
from contimg.keeper.keeper import Keeper
from contimg.keeper.service import KeeperClient, serve_keeper
from contimg.limits import ProtocolLimits
from contimg.streams import TASKS

NOW = datetime(2026, 1, 25, 23, tzinfo=UTC)
AGAIN = timedelta(seconds=ProtocolLimits.ask_again_s)
MOMENT = timedelta(seconds=1)
MANY = ProtocolLimits.inputs_in_message


def named(number: int) -> str:
    return f"{number:032x}"


def with_inputs(**counts: int):
    """Return a task with so many inputs of each type."""
    inputs = {name: tuple(named(n) for n in range(count)) for name, count in counts.items()}
    return toy_task().model_copy(update={"inputs": inputs})


class Kept:
    """Inputs that were left with the keeper."""

    def __init__(self) -> None:
        self.calls: list[dict] = []

    async def put(self, inputs) -> str:
        self.calls.append({name: tuple(tasks) for name, tasks in inputs.items()})
        return "d" * 64


@pytest.fixture
def bus():
    return MemoryBus()


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def asking(bus, kept):
    return Asking(bus, kept.put, ProtocolLimits())


# -- inputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [{}, {"image": MANY}, {"image": MANY // 2, "group": MANY - MANY // 2}])
async def test_as_many_inputs_as_a_message_takes_travel_in_it(asking, bus, kept, counts):
    task = with_inputs(**counts)
    await asking.ask("g", [task], NOW)
    assert bus.asked == [task]
    assert kept.calls == []


@pytest.mark.parametrize("counts", [{"image": MANY + 1}, {"image": MANY, "group": 1}])
async def test_more_inputs_go_by_their_digest(asking, bus, kept, counts):
    """All types together count; the task stays the same one."""
    task = with_inputs(**counts)
    await asking.ask("g", [task], NOW)
    assert bus.asked == [task.model_copy(update={"inputs": {}, "inputs_digest": "d" * 64})]
    assert bus.asked[0].task == task.task
    assert kept.calls == [task.inputs]


async def test_they_are_left_with_the_keeper_only_when_the_task_is_asked_for(asking, kept):
    task = with_inputs(image=MANY + 1)
    for seconds in (0, 1, 2):
        await asking.ask("g", [task], NOW + seconds * MOMENT)
    assert len(kept.calls) == 1


async def test_a_keeper_that_does_not_answer_leaves_the_task_for_the_next_look(bus, kept):
    answers = [Unavailable("the keeper is away")]

    async def put(inputs):
        if answers:
            raise answers.pop()
        return await kept.put(inputs)

    asking, task = Asking(bus, put, ProtocolLimits()), with_inputs(image=MANY + 1)
    with pytest.raises(Unavailable, match="keeper is away"):
        await asking.ask("g", [task], NOW)
    assert bus.asked == []
    await asking.ask("g", [task], NOW + MOMENT)
    assert len(bus.asked) == 1


@pytest.mark.integration
async def test_a_task_of_five_thousand_inputs_fits_into_a_message_of_the_real_bus(server, layout):
    """By its digest the worker finds them with the real keeper, in the order of the members."""
    task = with_inputs(image=5_000)
    with Keeper(layout, QUICK) as keeper:
        async with connected(server) as bus:
            await bus._jetstream.purge_stream(TASKS)
            await serve_keeper(bus, keeper, bus.shard)
            client = KeeperClient(bus, bus.shard)
            with pytest.raises(BadConfig, match="at most 65536 are allowed; select fewer"):
                await bus.ask(task)
            await Asking(bus, client.put_inputs, QUICK).ask("g", [task], NOW)
            message = await bus.fetch(SPEC.name)
            told = message.parse()
            await message.ack()
            assert (told.task, told.inputs) == (task.task, {})
            assert await client.inputs(told.inputs_digest) == task.inputs


# -- once -------------------------------------------------------------------------------------------------------------


async def test_what_is_wanted_all_the_time_is_asked_for_every_ten_minutes(asking, bus):
    task = toy_task()
    for after in (0 * AGAIN, AGAIN - MOMENT, AGAIN, 2 * AGAIN - MOMENT, 2 * AGAIN):
        await asking.ask("g", [task], NOW + after)
    assert len(bus.asked) == 3
    assert asking.accepted == 1, "it lay in the queue all the time"


async def test_what_was_not_wanted_for_a_while_is_another_wish(asking, bus):
    task = toy_task()
    for tasks in ([task], [], [task]):
        await asking.ask("g", tasks, NOW)
    assert len(bus.asked) == 2


async def test_groups_are_remembered_apart(asking, bus):
    task = toy_task()
    for group in ("g", "h", "g"):
        await asking.ask(group, [task], NOW)
    asking.forget("h")
    await asking.ask("g", [task], NOW)
    await asking.ask("h", [task], NOW)
    assert len(bus.asked) == 3
    asking.forget_all()
    await asking.ask("g", [task], NOW)
    assert len(bus.asked) == 4


async def test_another_round_takes_the_place_of_the_message_that_waits(asking, bus):
    first, second = toy_task(), toy_task(round_=1)
    assert first.task == second.task
    await asking.ask("g", [first], NOW)
    await asking.ask("g", [second], NOW)
    (waiting,) = bus.queue.values()
    assert waiting.round == 1


async def test_the_first_round_never_replaces_what_waits(asking, bus):
    """Another host may have asked for the second one already."""
    await bus.ask(toy_task(round_=1))
    await asking.ask("g", [toy_task()], NOW)
    (waiting,) = bus.queue.values()
    assert waiting.round == 1
    assert asking.accepted == 0


# -- a full queue -----------------------------------------------------------------------------------------------------


async def test_a_full_queue_is_noted_and_the_rest_is_asked_for_when_there_is_room(asking, bus):
    tasks = [toy_task(unit=f"u{n}") for n in range(3)]
    bus.room = 1
    await asking.ask("g", tasks, NOW)
    assert asking.full == {"g"}
    assert len(bus.asked) == 2, "after the first refusal nothing else is tried"
    bus.room = 10
    await asking.ask("g", tasks, NOW + MOMENT)
    assert asking.full == set()
    assert [task.unit for task in bus.queue.values()] == ["u0", "u1", "u2"]
    assert asking.accepted == 3


async def test_who_is_gone_waits_for_no_room(asking, bus):
    bus.room = 0
    for group in ("g", "h"):
        await asking.ask(group, [toy_task()], NOW)
    asking.forget("g")
    assert asking.full == {"h"}
    asking.forget_all()
    assert asking.full == set()


@pytest.mark.integration
async def test_a_full_queue_of_the_real_bus(server, kept):
    """Of a stream of a few messages the group that met its end is known; others are not concerned."""
    async with connected(server, replace(QUICK, stream_bytes=2048)) as bus:
        await bus._jetstream.purge_stream(TASKS)
        asking = Asking(bus, kept.put, QUICK)
        tasks = [toy_task(unit=f"u{n}", text="x" * 500) for n in range(4)]
        await asking.ask("g", tasks, NOW)
        assert asking.full == {"g"}
        assert 1 <= asking.accepted < 4
        queued = await bus.queued()
        assert len(queued) == asking.accepted
        assert await bus.ask(tasks[0]) in {Asked.ALREADY, Asked.FULL}


# -- withdrawal -------------------------------------------------------------------------------------------------------


async def test_what_nobody_wants_is_withdrawn_and_nothing_else(asking, bus):
    tasks = [toy_task(unit=f"u{n}") for n in range(4)]
    await asking.ask("g", tasks, NOW)
    again = await asking.withdraw(lambda: {task.task for task in tasks[1:3]}, lambda _task: set())
    assert again == set()
    assert [task.unit for task in bus.queue.values()] == ["u1", "u2"]


async def test_wishes_are_read_after_the_queue(asking, bus):
    """A task that is asked for between the two is wanted by then: it must not be taken for an old one."""
    order = []
    listed = bus.queued

    async def queued():
        order.append("queue")
        return await listed()

    bus.queued = queued
    await asking.withdraw(lambda: order.append("wishes") or set(), lambda _task: set())
    assert order == ["queue", "wishes"]


async def test_a_group_that_changed_its_mind_meanwhile_asks_again(asking, bus):
    task = toy_task()
    await asking.ask("g", [task], NOW)
    assert await asking.withdraw(set, lambda _task: {"g"}) == {"g"}
    assert bus.queue == {}
    await asking.ask("g", [task], NOW + MOMENT)
    assert list(bus.queue.values()) == [task]


async def test_in_an_outage_nothing_is_forgotten(asking, bus):
    task = toy_task()
    await asking.ask("g", [task], NOW)
    bus.lose()
    with pytest.raises(Unavailable):
        await asking.withdraw(set, lambda _task: {"g"})
    with pytest.raises(Unavailable):
        await asking.ask("g", [task, toy_task(unit="u2")], NOW + MOMENT)
    bus.find()
    await asking.ask("g", [task, toy_task(unit="u2")], NOW + 2 * MOMENT)
    assert [one.unit for one in bus.asked] == [task.unit, "u2"]
