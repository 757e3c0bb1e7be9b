"""What the engine asks the keeper: about one group, few questions, each once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from engine_world import DSA, START, STEP, VLA, World, group_of, observation, oid, toy_specs
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.engine.advance import advance
from contimg.engine.inquiry import needs
from contimg.models.fact import Facts, Needs, Offer
from contimg.models.group import Selection
from contimg.models.observation import Role
from contimg.models.quality import Verdict


def a_world(count=3, **spec):
    world = World(group_of(count, **spec))
    return world.arrive(*[observation(i, calibrator="3C48" if i == 1 else "") for i in range(count)])


@pytest.mark.parametrize(
    ("selection", "asked"),
    [
        (Selection(start=START, count=3), {"start": START, "count": 3}),
        (Selection(start=START, end=START + STEP), {"start": START, "end": START + STEP}),
        (Selection(members=(oid(0), oid(1))), {"ids": (oid(0), oid(1))}),
    ],
)
def test_the_first_question_is_for_the_observations_and_what_was_chosen_before(selection, asked):
    group = group_of(1, observations=selection)
    found = needs(group, DSA, toy_specs(), Facts(), [], START)
    assert found == Needs(group="g1", instrument="dsa110", units=(("solve", "g1"),), **asked)


def test_two_questions_tell_everything_in_every_phase():
    world = a_world()
    while (decision := world.decide()).tasks:
        assert len(world.questions) == 2
        for task in decision.tasks:
            world.commit(task)
    assert decision.status.phase == "Published"


def test_a_complete_group_costs_one_question():
    world = a_world()
    world.settle()
    world.decide()
    assert len(world.questions) == 1


def test_a_silent_keeper_and_a_bad_spec_are_not_asked_further():
    first = [Needs(group="g1")]
    assert needs(group_of(1), DSA, toy_specs(), Facts(keeper_silent=True), first, START) is None
    assert needs(group_of(1, stages={"imag": {}}), DSA, toy_specs(), Facts(), first, START) is None


def test_the_runs_of_other_groups_are_asked_for_only_where_no_own_calibrator_is():
    own = a_world()
    own.decide()
    assert all(question.offers == () for question in own.questions)
    other = World(group_of(2)).arrive(observation(0), observation(1))
    for task in other.decide().tasks:
        other.commit(task)
    other.decide()
    windows = [window for question in other.questions for window in question.offers]
    assert [window.end - window.start for window in windows] == [timedelta(days=2), timedelta(days=60)]


def test_a_near_offer_spares_the_far_window():
    world = World(group_of(2)).arrive(observation(0), observation(1))
    near = Offer(
        task="a" * 32, stage="solve", group="g0", key="3C48", at=START, position_deg=16.1, verdict=Verdict.PASS
    )
    world.offers[near.task] = near
    world.decide()
    windows = {window for question in world.questions for window in question.offers}
    assert timedelta(days=2) in {window.end - window.start for window in windows}


def test_too_many_tasks_are_asked_for_in_parts(monkeypatch):
    monkeypatch.setattr("contimg.engine.inquiry.TASKS", 4)
    world = a_world()
    world.decide()
    sizes = [len(question.tasks) for question in world.questions]
    assert max(sizes) == 4
    asked = [task for question in world.questions for task in question.tasks]
    assert len(set(asked)) == len(asked)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), count=st.integers(1, 4), minimum=st.sampled_from([None, 1]))
def test_what_is_asked_for_decides_as_everything_would(data, count, minimum):
    """Facts on demand and all facts there are give the same tasks and the same status."""
    world = World(group_of(count, min_members=minimum))
    world.arrive(*[observation(i, calibrator="3C48" if i == 0 else "") for i in range(count)])
    for _ in range(9):
        decision = world.decide()
        whole = advance(world.group, DSA, world.specs, world.everything(), world.now, decision.status)
        asked = advance(world.group, DSA, world.specs, world.facts(), world.now, decision.status)
        assert whole == asked
        for task in decision.tasks:
            fate = data.draw(st.sampled_from(["", "", "", "fail", "final", "degraded"]))
            world.verdicts[task.stage, task.unit] = Verdict.DEGRADED if fate == "degraded" else Verdict.PASS
            world.fail(task, final=fate == "final") if fate in {"fail", "final"} else world.commit(task)


def test_calibrator_recordings_come_with_the_members():
    world = World(group_of(1, pipeline_name="vla-continuum"), pipeline=VLA)
    roles = (Role.FLUX, Role.TARGET)
    world.arrive(*[observation(i, role=role, instrument="vla") for i, role in enumerate(roles)])
    assert world.settle().status.phase == "Published"
