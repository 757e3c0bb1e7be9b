"""The loop of the host, in virtual time: asking, waking, outages, edits, statuses, the end."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

import pytest
from engine_world import group_of, observation
from host_world import Observatory
from virtual_time import virtually

from contimg.errors import BadConfig, Damaged
from contimg.host.host import Host
from contimg.limits import ProtocolLimits
from contimg.models.group import Selection
from contimg.models.reason import Reason
from contimg_solve.params import SolveInfo

HOUR = 3600.0


def published(*names, phase="Published"):
    """Return a condition: these groups have this phase."""
    return lambda observatory: all(observatory.phase(name) == phase for name in names)


def observatory(*groups, recordings=3, **given):
    made = Observatory(*(groups or (group_of(2),)), **given)
    made.world.arrive(*(observation(i, calibrator="3C286") for i in range(recordings)))
    return made


def reasons(status):
    return {item.reason for item in status.conditions}


def scene(play):
    """Run an async function in virtual time as a test."""

    def test():
        virtually(play())

    test.__name__, test.__doc__ = play.__name__, play.__doc__
    return test


# -- asking ---------------------------------------------------------------------------------------------------------


@scene
async def test_a_group_is_published_and_each_task_asked_for_once():
    o = observatory()
    async with o.running():
        await o.until(lambda: published("g1")(o))
    assert len(o.started) == len({task.task for task in o.started}) == 10
    assert len(o.bus.asked) == 10
    assert o.bus.queue == {}


@scene
async def test_what_is_unmet_is_asked_for_again_after_ten_minutes_and_not_before():
    o = observatory()
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.asked) == 2)
        begin = o.now()
        await o.until(lambda: len(o.bus.asked) == 4)
        assert timedelta(minutes=9, seconds=59) <= o.now() - begin < timedelta(minutes=10, seconds=40)


@scene
async def test_at_once_when_the_stream_was_made_anew():
    o = observatory()
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.queue) == 2)
        o.bus.delete_stream()
        begin = o.now()
        await o.until(lambda: len(o.bus.queue) == 2)
        assert o.now() - begin <= timedelta(seconds=31), "the streams are looked at every 30 s"


@scene
async def test_another_round_is_another_wish():
    o = observatory()
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.asked) == 2)
        o.resources.edit("g1", replay=1)
        await o.until(lambda: len(o.bus.asked) == 6)
    assert [task.round for task in o.bus.asked] == [0, 0, 1, 1, 1, 1], "the old message makes room"


@scene
async def test_a_new_round_does_not_wait_behind_a_message_of_the_old_one():
    """It lies in the queue for half an hour, waiting for its next try."""
    o = observatory()
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.queue) == 2)
        o.resources.edit("g1", replay=1)
        await o.until(lambda: {task.round for task in o.bus.queue.values()} == {1}, 30)


@scene
async def test_a_damaged_index_or_a_full_disk_ends_nothing():
    o = observatory()
    wanted, put = o.keeper.wanted, o.resources.put_status

    async def damaged(_tasks):
        raise Damaged("the database is damaged")

    async def full(_resource, _status):
        raise BadConfig("resources cannot be written")

    o.keeper.wanted, o.resources.put_status = damaged, full
    async with o.running():
        await asyncio.sleep(300)
        assert o.started
        o.keeper.wanted, o.resources.put_status = wanted, put
        await o.until(lambda: published("g1")(o))


@scene
async def test_consumers_are_made_for_every_stage_with_tasks():
    o = observatory()
    async with o.running(workers=0):
        await o.until(lambda: o.bus.checks)
    assert o.bus.stages == sorted(set(o.world.specs) - {"ingest"})


@scene
async def test_a_full_bus_is_told_by_the_groups_that_met_it_only():
    other = group_of(1, name="g2", observations=Selection(members=(observation(5).id,)))
    o = observatory(group_of(2), other, recordings=6)
    o.bus.room = 3
    async with o.running(workers=0) as host:
        await o.until(lambda: len(o.bus.queue) == 3)
        await asyncio.sleep(20)
        full = [name for name in ("g1", "g2") if Reason.BUS_FULL in reasons(o.resources.status(name))]
        assert full == []
        o.bus.room = 0
        o.bus.queue.clear()
        host.asking.forget("g1")
        await asyncio.sleep(60)
        assert Reason.BUS_FULL in reasons(o.resources.status("g1"))
        assert Reason.BUS_FULL not in reasons(o.resources.status("g2"))
        o.bus.room = 100
        await o.until(lambda: Reason.BUS_FULL not in reasons(o.resources.status("g1")), 30)
        assert len(o.bus.queue) == 2


# -- many groups ----------------------------------------------------------------------------------------------------


@scene
async def test_many_groups_at_once_and_an_event_wakes_only_those_that_want_the_task():
    names = [f"g{i}" for i in range(6)]
    groups = [
        group_of(1, name=name, observations=Selection(members=(observation(i).id,))) for i, name in enumerate(names)
    ]
    o = observatory(*groups, recordings=6)
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.queue) == 6)
        await asyncio.sleep(1)
        o.keeper.asked.clear()
        task = next(task for task in o.bus.queue.values() if task.group == "g3")
        await o.bus.event("started", task.stage, task.unit, {"task": task.task, "group": "g3"})
        await asyncio.sleep(1)
        assert {question.group for question in o.keeper.asked} == {"g3"}
    async with o.running(workers=3):
        await o.until(lambda: published(*names)(o))


@scene
async def test_a_shared_member_is_converted_once_and_wakes_both_groups():
    o = observatory(group_of(2), group_of(2, name="g2"))
    async with o.running():
        await o.until(lambda: published("g1", "g2")(o))
    converted = [task.unit for task in o.started if task.stage == "convert"]
    assert len(converted) == len(set(converted)) == 2


@scene
async def test_what_one_group_offers_wakes_those_that_wait_for_it():
    """g2 holds no calibrator: it waits for the bandpass that g1 solves."""
    o = observatory(
        group_of(1), group_of(1, name="g2", observations=Selection(members=(observation(9).id,)), calibrator="3C286")
    )
    o.world.arrive(observation(9))
    o.world.specs["solve"] = o.world.specs["solve"].model_copy(update={"info": SolveInfo})
    async with o.running(task_s=1.0):
        await o.until(lambda: published("g1")(o))
        begin = o.now()
        await o.until(lambda: published("g2")(o))
        assert o.now() - begin < timedelta(seconds=25), "woken, not found by the tick"


@scene
async def test_one_that_cannot_be_judged_is_stalled_and_others_go_on():
    o = observatory(group_of(2), group_of(2, name="bad"))
    o.keeper.broken.add("bad")
    async with o.running():
        await o.until(lambda: published("g1")(o))
        status = o.resources.status("bad")
        assert (status.phase, Reason.NOT_JUDGED in reasons(status)) == ("Stalled", True)
        assert "OverflowError: date value out of range" in status.message
        o.keeper.broken.clear()
        await o.until(lambda: published("bad")(o))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"shard": "east"}, "spec.shard is 'east', this is shard 'main'; name one that exists"),
        ({"pipeline": "nothing"}, "pipeline 'nothing' is unknown; known are comap-galactic"),
    ],
)
def test_a_wish_that_no_host_of_this_shard_can_follow_is_stalled(spec, words):
    async def play():
        o = observatory(group_of(2))
        o.resources.edit("g1", **spec)
        async with o.running():
            await o.until(lambda: published("g1", phase="Stalled")(o))
            status = o.resources.status("g1")
            assert words in status.message
            assert Reason.BAD_CONFIG in reasons(status)
            assert o.bus.asked == []
            o.resources.edit("g1", shard="main", pipeline="dsa110-continuum")
            await o.until(lambda: published("g1")(o))

    virtually(play())


# -- outages --------------------------------------------------------------------------------------------------------


@scene
async def test_a_silent_keeper_and_a_bus_that_is_away_are_told_apart():
    o = observatory()
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.queue) == 2)
        o.keeper.silent = True
        await o.until(lambda: Reason.FACTS_UNAVAILABLE in reasons(o.resources.status("g1")))
        assert o.resources.status("g1").condition("Progressing").status == "Unknown"
        o.keeper.silent = False
        await o.until(lambda: Reason.FACTS_UNAVAILABLE not in reasons(o.resources.status("g1")))
        o.bus.lose()
        await o.until(lambda: Reason.BUS_AWAY in reasons(o.resources.status("g1")))
        assert "the message bus does not answer" in o.resources.status("g1").message
        o.bus.find()
        await o.until(lambda: Reason.BUS_AWAY not in reasons(o.resources.status("g1")), 5)
        assert len(o.bus.asked) == 2, "the queue survived: nothing is asked for again"


@scene
async def test_an_outage_in_the_middle_costs_nothing_but_time():
    o = observatory()
    async with o.running(task_s=10.0):
        await o.until(lambda: len(o.started) == 2)
        o.bus.lose()
        await asyncio.sleep(120)
        o.bus.find()
        await o.until(lambda: published("g1")(o))
    assert len(o.started) == len({task.task for task in o.started}) == 10


@scene
async def test_a_lost_event_is_made_up_for_by_the_tick():
    o = observatory()
    async with o.running():
        await o.until(lambda: o.started)
        o.bus.listeners.clear()
        await o.until(lambda: published("g1")(o), HOUR)


# -- edits ----------------------------------------------------------------------------------------------------------


async def _edited(change, *, task_s=10.0):
    """Run to the middle of the images, change something, and return what of the old wish started after it."""
    o = observatory(group_of(3), recordings=4)
    async with o.running(task_s=task_s):
        await o.until(lambda: any(task.stage == "image" for task in o.started))
        old, before = {task.task for task in o.bus.queue.values()}, len(o.started)
        assert len(old) == 3
        await change(o)
        after = [task.task for task in o.started[before:]]
    return o, old, after


@scene
async def test_an_edit_starts_no_task_of_the_old_wish_and_adopts_what_fits_the_new():
    async def change(o):
        o.resources.edit("g1", stages={"image": {"robust": 0.5}})
        await o.until(lambda: o.resources.status("g1").observed_generation == 2 and published("g1")(o))

    o, old, after = await _edited(change)
    assert not old & set(after)
    assert [task.stage for task in o.started].count("convert") == 3, "nothing before image is done again"
    assert [task.stage for task in o.started].count("image") == 4, "one of the old wish was running"


@scene
async def test_a_suspended_group_is_taken_out_of_the_queue_and_comes_back():
    async def change(o):
        o.resources.edit("g1", suspend=True)
        await o.until(lambda: published("g1", phase="Suspended")(o))
        await asyncio.sleep(60)
        assert o.bus.queue == {}
        assert o.keeper.wishes, "what it needs later is still spared"
        o.resources.edit("g1", suspend=False)
        await o.until(lambda: published("g1")(o))

    o, _, _ = await _edited(change)
    assert [task.stage for task in o.started].count("image") == 3


@scene
async def test_a_deleted_group_is_taken_out_of_the_queue_and_may_be_added_again():
    async def change(o):
        kept = o.resources.items["ObservationGroup", "g1"]
        o.resources.delete("g1")
        await o.until(lambda: not o.bus.queue)
        before = len(o.started)
        await asyncio.sleep(60)
        assert len(o.started) == before
        o.resources.put(kept)
        await o.until(lambda: published("g1")(o))

    o, _, _ = await _edited(change)
    assert [task.stage for task in o.started].count("image") == 3, "the running attempt went on and was adopted"


@scene
async def test_a_task_that_another_group_wants_stays_in_the_queue():
    o = observatory(group_of(2), group_of(2, name="g2"))
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.asked) == 4)
        o.resources.delete("g1")
        await asyncio.sleep(60)
        assert len(o.bus.queue) == 2


@scene
async def test_what_an_earlier_host_asked_for_and_nobody_wants_is_swept_out():
    o = observatory()
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.queue) == 2)
    o.resources.edit("g1", observations=Selection(members=(observation(0).id,)))
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.queue) == 1)
        await asyncio.sleep(60)
        assert len(o.bus.queue) == 1


@scene
async def test_replay_and_reprocess_in_the_middle_repeat_nothing_that_is_done():
    o = observatory()
    async with o.running(task_s=5.0):
        await o.until(lambda: len(o.started) == 4)
        o.resources.edit("g1", replay=1)
        await o.until(lambda: len(o.started) == 6)
        o.resources.edit("g1", reprocess=1)
        await o.until(lambda: published("g1")(o))
    units = [(task.stage, task.unit) for task in o.started]
    assert len(units) - len(set(units)) <= 2


@scene
async def test_two_hosts_at_once_fill_the_queue_once():
    o = observatory()
    second = o.host()
    async with o.running(), asyncio.TaskGroup() as tasks:
        other = tasks.create_task(second.run())
        await o.until(lambda: published("g1")(o))
        other.cancel()
    assert len(o.started) == len({task.task for task in o.started}) == 10


# -- status ---------------------------------------------------------------------------------------------------------


@scene
async def test_a_status_is_written_on_change_a_flip_at_once_and_else_every_ten_seconds():
    o = observatory(group_of(6), recordings=7)
    async with o.running(task_s=1.0):
        await o.until(lambda: published("g1")(o))
        wrote = len(o.resources.written)
        await asyncio.sleep(300)
        assert len(o.resources.written) == wrote, "nothing changed"
    seconds = (o.now() - o.resources.written[0][1].started).total_seconds() - 300
    flips = len({(s.phase, *(c.status + c.reason for c in s.conditions)) for _, s in o.resources.written})
    assert wrote <= seconds / 10 + flips + 2


@scene
async def test_a_conflict_is_met_by_another_look():
    o = observatory()
    async with o.running():
        await o.until(lambda: o.started)
        o.resources.versions["ObservationGroup", "g1"] += 1  # somebody else wrote, and we were not told
        await o.until(lambda: published("g1")(o))


@scene
async def test_what_was_held_back_is_written_at_the_end():
    o = observatory(group_of(3), recordings=4, limits=ProtocolLimits(status_s=1e6))
    async with o.running(task_s=1.0):
        await o.until(lambda: len(o.started) > 5)
    assert "convert" not in o.resources.status("g1").stage


# -- clean-up and the end -------------------------------------------------------------------------------------------


@scene
async def test_wanted_is_said_when_all_wishes_are_known_and_then_every_ten_minutes():
    o = observatory(group_of(2), group_of(1, name="g2"))
    o.keeper.silent = True
    async with o.running(workers=0):
        await asyncio.sleep(300)
        assert o.keeper.wishes == []
        o.keeper.silent = False
        await o.until(lambda: o.keeper.wishes, 120)
        assert o.keeper.wishes[0] >= {task.task for task in o.bus.asked}
        await asyncio.sleep(1900)
        assert 3 <= len(o.keeper.wishes) <= 5


@scene
async def test_a_group_whose_wish_is_not_known_holds_up_the_clean_up_for_a_while():
    o = observatory(group_of(2), group_of(2, name="bad"), limits=ProtocolLimits(unwanted_s=HOUR))
    o.resources.edit("bad", pipeline="nothing")
    async with o.running(workers=0):
        await asyncio.sleep(0.9 * HOUR)
        assert o.keeper.wishes == []
        await o.until(lambda: o.keeper.wishes, 0.2 * HOUR)


@scene
async def test_before_the_groups_are_listed_nothing_is_said_and_nothing_swept():
    """A host that starts knows of no group: an empty wish would release their runs, an empty list their tasks."""
    o = observatory()
    async with o.running(workers=0):
        await o.until(lambda: len(o.bus.queue) == 2)
    listing = o.resources.list

    async def slow():
        await asyncio.sleep(100)
        return await listing()

    o.resources.list = slow
    o.keeper.wishes.clear()
    host = o.host()
    async with o.running(host, workers=0):
        await asyncio.sleep(90)
        assert len(o.bus.queue) == 2
        assert o.keeper.wishes == []
        assert not host.is_over([], arriving=False)
        await o.until(lambda: o.keeper.wishes)
    assert all(o.keeper.wishes)


@scene
async def test_a_run_ends_when_nothing_more_can_happen():
    o = observatory(group_of(2), group_of(1, name="late", observations=Selection(members=(observation(40).id,))))
    host = o.host()
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(o.work())
        await host.run(lambda: host.is_over(["g1", "late"], arriving=False))
        work.cancel()
    assert (o.phase("g1"), o.phase("late")) == ("Published", "Waiting")
    assert not host.is_over(["late"], arriving=True), "its file may still come"
    assert host.is_over(["g1", "gone"], arriving=True)


@scene
async def test_a_sealed_observation_wakes_who_waits():
    o = observatory(recordings=1)
    async with o.running():
        await o.until(lambda: published("g1", phase="Running")(o) or published("g1", phase="Waiting")(o))
        await asyncio.sleep(5)
        o.world.arrive(observation(1), observation(2))
        begin = o.now()
        await o.bus.event("sealed", "ingest", observation(1).id, {})
        await o.until(lambda: len([t for t in o.started if t.stage == "convert"]) == 2)
        assert o.now() - begin < timedelta(seconds=5)


@scene
async def test_a_cancellation_that_a_client_swallows_ends_the_host_all_the_same():
    """``wait_for`` of Python 3.11 may lose one: the call returns as if nothing had been."""
    o = observatory()
    answer = o.keeper.facts

    async def deaf(needs):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return await answer(needs)

    o.keeper.facts = deaf
    running = asyncio.create_task(o.host().run())
    await asyncio.sleep(2)
    running.cancel()
    async with asyncio.timeout(60):
        await asyncio.wait({running})


@scene
async def test_what_the_bus_refuses_for_good_ends_the_host():
    o = observatory()

    async def refused(_stages):
        raise BadConfig("stream CONTIMG_TASKS differs and cannot be changed")

    o.bus.ensure_streams = refused
    with pytest.raises(BaseExceptionGroup) as caught:
        await Host(o.bus, o.keeper, o.resources, o.world.specs, o.limits, now=o.now).run()
    assert caught.group_contains(BadConfig)
