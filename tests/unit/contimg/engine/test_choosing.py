"""What stages decide for the engine: partitions, choices that freeze, bugs that stop one group only."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from engine_world import World, group_of, observation, oid, toy_specs

from contimg.engine.choosing import first_record
from contimg.models.fact import Facts, TryFact
from contimg.models.quality import Verdict
from contimg.models.spec import Scope

MOSAIC = "mosaic"


def a_world(decide, scope=Scope.PARTITION, count=4, **spec):
    specs = toy_specs()
    specs[MOSAIC] = specs[MOSAIC].model_copy(update={"scope": scope, "decide": f"deciding:{decide}"})
    world = World(group_of(count, **spec), specs=specs)
    return world.arrive(*[observation(i, calibrator="3C48" if i == 1 else "") for i in range(count)])


def mosaics(world):
    return {task.unit: task for task in world.executed if task.stage == MOSAIC}


def test_a_partition_has_a_task_for_each_key_and_a_later_stage_reads_them_all():
    world = a_world("halves")
    assert world.settle().status.phase == "Published"
    found = mosaics(world)
    assert set(found) == {"g1.low", "g1.high"}
    assert found["g1.low"].options == {"first": 0, "last": 2}
    assert found["g1.low"].members == tuple(oid(i) for i in range(4))
    publish = world.executed[-1]
    assert set(publish.inputs[MOSAIC]) == {task.task for task in found.values()}
    line = next(item for item in world.status.stages if item.stage == MOSAIC)
    assert (line.done, line.total) == (2, 2)


def test_a_failed_partition_fails_the_group_and_is_named():
    world = a_world("halves")
    world.verdicts[MOSAIC, "g1.high"] = Verdict.FAILED
    status = world.settle().status
    assert status.phase == "Failed"
    assert "stage mosaic of g1.high failed (DataQuality)" in status.message
    assert set(mosaics(world)) == {"g1.low", "g1.high"}


def edit(world, **changes):
    generation = world.group.metadata.generation + 1
    metadata = world.group.metadata.model_copy(update={"generation": generation})
    spec = world.group.spec.model_copy(update=changes)
    world.group = world.group.model_copy(update={"spec": spec, "metadata": metadata})


def test_what_was_chosen_for_each_partition_is_frozen_until_it_is_reprocessed():
    world = a_world("versions")
    world.settle()
    assert {task.options["version"] for task in mosaics(world).values()} == {1}
    world.executed = []
    edit(world, min_members=4)
    assert world.settle().status.phase == "Published"
    assert mosaics(world) == {}
    edit(world, reprocess=1)
    assert world.settle().status.phase == "Published"
    assert {unit: task.options["version"] for unit, task in mosaics(world).items()} == {"g1.a": 2, "g1.b": 2}


@pytest.mark.parametrize(
    ("decide", "phase", "reason", "words"),
    [
        ("nothing", "Stalled", "NothingToChoose", "stage mosaic decided on nothing"),
        ("broken", "Stalled", "NotJudged", "cannot decide for this group: ZeroDivisionError: of g1"),
        ("missing", "Stalled", "NotJudged", "AttributeError"),
        ("unnameable", "Stalled", "NotJudged", "cannot decide for this group: "),
        ("patient", "Waiting", "WaitingForChoice", "no model yet"),
    ],
)
@pytest.mark.parametrize("scope", [Scope.GROUP, Scope.PARTITION])
def test_what_cannot_be_decided_is_told(decide, phase, reason, words, scope):
    world = a_world(decide, scope)
    for _ in range(12):
        decision = world.decide_unchecked()
        for task in decision.tasks:
            world.commit(task)
    status = decision.status
    kind = "Stalled" if phase == "Stalled" else "Progressing"
    assert (status.phase, status.condition(kind).reason) == (phase, reason)
    assert words in status.message
    assert (decision.look_again is not None) is (phase == "Waiting")


def test_a_decision_may_look_at_what_was_read_and_is_made_again_when_that_changes():
    specs = toy_specs()
    specs["group"] = specs["group"].model_copy(update={"decide": "deciding:by_level"})
    world = World(group_of(2), specs=specs).arrive(observation(0, calibrator="3C48"), observation(1))
    for task in world.decide().tasks:
        world.commit(task)
    levels = iter((3, 7))
    for task, run in world.runs.items():
        world.runs[task] = run.model_copy(update={"info": {"level": next(levels)}})
    (group,) = [task for task in world.decide().tasks if task.stage == "group"]
    assert group.options == {"level": 7}
    assert Counter(task.stage for task in world.executed) == {"convert": 2}


def test_the_first_record_is_the_first_try_else_the_run():
    world = a_world("halves")
    task = world.decide().tasks[0]
    assert first_record(Facts(), task.task) is None
    world.start(task)
    tried = world.tries[task.task]
    started = tried.last.started
    assert first_record(world.everything(), task.task) == started
    early = TryFact(task=task.task, round=0, first=started - timedelta(hours=1), last=tried.last)
    assert first_record(Facts(tries={task.task: early}), task.task) == started - timedelta(hours=1)
    world.now += timedelta(hours=2)
    world.commit(task)
    assert first_record(world.everything(), task.task) == world.now


@pytest.mark.parametrize(("wants", "count"), [("window", 2), ("broken_window", 0)])
def test_a_stage_that_cannot_say_what_it_wants_asks_for_nothing(wants, count):
    specs = toy_specs()
    specs["solve"] = specs["solve"].model_copy(update={"wants": f"deciding:{wants}"})
    world = World(group_of(2), specs=specs).arrive(observation(0), observation(1))
    for task in world.decide().tasks:
        world.commit(task)
    status = world.decide().status
    assert len({window for question in world.questions for window in question.offers}) == count
    assert ("stage solve cannot decide for this group: ZeroDivisionError: of g1" in status.message) is (count == 0)
