"""What a status shows: conditions that move only when they flip, counts, bounds."""

from __future__ import annotations

from datetime import timedelta

from engine_world import START, World, group_of, observation, oid

from contimg.engine.status import refused
from contimg.models.fact import TryFact
from contimg.models.group import Selection
from contimg.models.observation import ObservationState
from contimg.models.quality import Verdict
from contimg.models.reason import Reason


def a_world(count=3, **spec):
    world = World(group_of(count, **spec))
    return world.arrive(*[observation(i, calibrator="3C48" if i == 1 else "") for i in range(count)])


def test_transition_times_move_only_on_a_flip_and_start_is_kept():
    world = a_world()
    first = world.decide().status
    second = world.decide().status
    assert world.now > first.started
    assert second.started == first.started
    for condition in first.conditions:
        assert second.condition(condition.type).last_transition_time == condition.last_transition_time
    done = world.settle().status
    assert done.condition("Succeeded").last_transition_time > first.condition("Succeeded").last_transition_time
    assert done.condition("Stalled").last_transition_time == first.condition("Stalled").last_transition_time
    assert done.finished is not None


def test_conditions_carry_the_generation():
    world = a_world()
    world.group = world.group.model_copy(update={"metadata": world.group.metadata.model_copy(update={"generation": 5})})
    status = world.decide().status
    assert {item.observed_generation for item in status.conditions} == {status.observed_generation} == {5}
    assert [item.type for item in status.conditions] == ["Succeeded", "Progressing", "Stalled", "Degraded"]


def test_progress_counts_the_stage_at_work():
    world = a_world()
    tasks = world.decide().tasks
    world.commit(tasks[0])
    world.start(tasks[1])
    status = world.decide().status
    assert (status.phase, status.stage, status.progress) == ("Running", "convert", "1/3")
    assert status.message == "convert: 1 of 3 done, 1 running"


def test_total_counts_members_that_have_not_come_yet():
    world = World(group_of(10)).arrive(observation(0))
    status = world.decide().status
    assert status.progress == "0/10"
    assert "waiting for 9 of 10 observations" in status.message


def test_seconds_and_verdict_of_a_stage_come_from_its_runs():
    world = a_world()
    world.verdicts["image", oid(0)] = Verdict.DEGRADED
    status = world.settle().status
    image = next(item for item in status.stages if item.stage == "image")
    assert (image.seconds, image.verdict) == (6.0, Verdict.DEGRADED)
    degraded = status.condition("Degraded")
    assert (degraded.status, degraded.reason) == ("True", "Quality")
    assert "image" in degraded.message
    assert status.verdict is Verdict.DEGRADED


def test_failed_at_stays_where_it_was():
    world = a_world()
    world.fail(world.decide().tasks[0], "BadInput", final=True)
    world.settle()
    at = world.status.finished
    assert world.decide().status.finished == at


def test_at_most_five_failures_and_short_ones():
    world = a_world(9)
    for task in world.decide().tasks:
        world.fail(task, "BadInput", final=True)
        tried = world.tries[task.task]
        last = tried.last.model_copy(update={"message": "x" * 5000})
        world.tries[task.task] = tried.model_copy(update={"last": last})
    status = world.decide().status
    convert = next(item for item in status.stages if item.stage == "convert")
    assert (convert.failed, len(convert.failures)) == (9, 5)
    assert all(len(item.message) <= 300 for item in convert.failures)
    assert len(status.message) <= 1024


def test_a_thousand_members_with_failures_everywhere_stay_below_64_kb():
    count = 1000
    world = World(group_of(count, observations=Selection(start=START, count=count), min_members=1))
    for i in range(count):
        state = ObservationState.INCOMPLETE if i % 50 == 0 else ObservationState.SEALED
        record = observation(i, state=state, calibrator="3C48" if i == 7 else "")
        world.arrive(record.model_copy(update={"reasons": ("y" * 4000,)}))
    world.now = START + timedelta(days=9)
    for number in range(8):
        decision = world.decide()
        for place, task in enumerate(decision.tasks):
            if len(decision.tasks) > 5 and place % 40 == number:
                world.fail(task, "BadInput", final=True)
                tried = world.tries[task.task]
                last = tried.last.model_copy(update={"message": "é" * 4000})
                world.tries[task.task] = tried.model_copy(update={"last": last})
            else:
                world.commit(task)
        assert len(decision.status.model_dump_json(by_alias=True).encode()) < 64 * 1024
    assert decision.status.phase in ("Running", "Published")


def test_a_worker_that_cannot_begin_and_a_damaged_run_are_named():
    world = a_world()
    first, second, _ = world.decide().tasks
    world.tries[first.task] = TryFact(
        task=first.task, round=0, waits="WaitingForSpace: 123 bytes are missing in /stage"
    )
    assert f"convert {first.unit}: WaitingForSpace: 123 bytes" in world.decide().status.message
    world.commit(second)
    damaged = {"present": False, "damaged": "its manifest cannot be read"}
    world.runs[second.task] = world.runs[second.task].model_copy(update=damaged)
    decision = world.decide()
    assert second.task in {task.task for task in decision.tasks}
    assert f"made again: convert {second.unit} (its manifest cannot be read)" in decision.status.message


def test_of_five_thousand_members_some_are_named_and_all_are_counted():
    world = World(group_of(400, observations=Selection(start=START, count=400)))
    world.arrive(*[observation(i) for i in range(400)])
    world.now = START + timedelta(days=9)
    status = world.decide().status
    assert (len(status.members), status.member_count) == (300, 400)


def test_a_group_that_the_host_refuses_keeps_what_was_shown_of_its_stages():
    world = a_world()
    shown = world.decide().status
    status = refused(world.group, world.now, shown, "spec.shard is 'x'", Reason.NOT_JUDGED)
    assert (status.phase, status.message) == ("Stalled", "spec.shard is 'x'")
    assert status.condition("Stalled").reason == "NotJudged"
    assert status.stages == shown.stages
    assert refused(world.group, world.now, None, "no").members == ()


def test_a_bus_that_is_away_is_not_called_a_silent_keeper():
    world = a_world()
    shown = world.decide().status
    status = world.decide_unchecked(bus_away=True).status
    assert status.condition("Progressing").reason == "BusAway"
    assert "the message bus does not answer" in status.message
    assert status.phase == shown.phase
