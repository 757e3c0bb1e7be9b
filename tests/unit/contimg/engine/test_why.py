"""A few sentences a person can act on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from engine_world import START, World, group_of, observation, oid, transit

from contimg.engine.why import why
from contimg.models.fact import UnsealedFact
from contimg.models.group import Policy, PublishSpec


def a_world(count=3, **spec):
    world = World(group_of(count, **spec))
    return world.arrive(*[observation(i, calibrator="3C48" if i == 1 else "") for i in range(count)])


def said(world, **changes):
    return why(world.group, world.decide(**changes))


def test_missing_files_are_named_with_the_time_since_when():
    world = a_world(2)
    world.group = group_of(3)
    world.unsealed = (
        UnsealedFact(start=START + timedelta(seconds=618), sentence="13 of 16 subbands, missing sb03", id=oid(2)),
    )
    world.settle()
    text = said(world)
    assert text.startswith(
        f"g1 is waiting: waiting for 1 of 3 observations: {oid(2)}: 13 of 16 subbands, missing sb03."
    )
    assert "WaitingForObservations since 2026-01-26T00:00:14 UTC" in text
    assert "when the files arrive" in text


def test_running_tells_what_is_asked_for():
    text = said(a_world())
    assert "Asked for: 3 convert." in text
    assert "convert stands at 0/3" in text
    assert "Next look at" in text


def test_failures_are_listed_with_class_and_cure():
    world = a_world()
    world.fail(world.decide().tasks[0], "BadInput", final=True)
    world.settle()
    text = said(world)
    assert "g1 is failed" in text
    assert "BadInput" in text
    assert "raise spec.replay, or lower spec.minMembers" in text


def test_transit_waits_name_the_calibrator_and_the_next_look():
    coming = transit("3C286", START + timedelta(hours=5))
    world = World(group_of(1)).arrive(observation(0, next_transits=(coming,)))
    world.settle()
    text = said(world)
    assert "3C286" in text
    assert "Next look at 2026-01-26T03:30:13 UTC." in text


@pytest.mark.parametrize(
    ("spec", "changes", "cure"),
    [
        ({"suspend": True}, {}, "Set spec.suspend to false."),
        ({"stages": {"imag": {}}}, {}, "Correct the field"),
        ({"publish": PublishSpec(policy=Policy.MANUAL)}, {}, "set spec.publish.approve to true"),
        ({}, {"keeper_silent": True}, "when the keeper answers again"),
        ({}, {"bus_full": True}, "taken messages off the queue"),
    ],
)
def test_every_reason_has_its_cure(spec, changes, cure):
    world = a_world(**spec)
    if not changes:
        world.settle()
    assert cure in said(world, **changes)


def test_a_published_group_says_so_and_what_is_missing_from_it():
    world = a_world(3, min_members=2)
    world.fail(world.decide().tasks[0], "BadInput", final=True)
    world.settle()
    text = said(world)
    assert text.startswith("g1 is published: published with verdict")
    assert "Degraded: without 1 of the observations" in text
