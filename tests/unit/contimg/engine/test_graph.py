"""The graph of one decision: states forward, wants backward."""

from __future__ import annotations

import pytest
from engine_world import DSA, World, group_of, observation, oid

from contimg.engine.graph import Graph, build, wanted
from contimg.engine.node import State
from contimg.engine.plan import Wish, plan_stages
from contimg.engine.selection import select
from contimg.limits import ProtocolLimits
from contimg.models.quality import Verdict, judge


def a_world(count=2, **spec):
    world = World(group_of(count, **spec))
    return world.arrive(*[observation(i, calibrator="3C48" if i == 0 else "") for i in range(count)])


def graph_of(world):
    facts = world.facts()
    plans = plan_stages(world.group, DSA, world.specs, ProtocolLimits())
    selected = select(world.group, DSA.instrument, facts, world.now, world.status, ProtocolLimits())
    wish = Wish(world.group, world.group.spec.digest)
    return build(Graph(wish, plans, selected, facts, world.now))


def after(world, rounds):
    for _ in range(rounds):
        for task in world.decide().tasks:
            world.commit(task)
    return graph_of(world)


def state(graph, stage, unit="g1"):
    return graph.nodes[stage][unit].state


def names(nodes):
    return sorted((node.plan.name, node.unit) for node in nodes)


def test_recipes_are_known_as_far_as_what_they_read_is_final():
    graph = graph_of(a_world())
    assert state(graph, "convert", oid(0)) is State.OPEN
    assert [state(graph, stage) for stage in ("group", "solve", "mosaic", "publish")] == [State.PENDING] * 4
    assert state(graph, "apply", oid(0)) is State.PENDING
    later = after(a_world(), 1)
    assert [state(later, stage) for stage in ("group", "solve", "mosaic")] == [State.OPEN, State.OPEN, State.PENDING]
    assert state(later, "image", oid(1)) is State.OPEN


def test_wants_go_back_from_the_goal_and_stop_at_runs_that_are_there():
    world = a_world()
    graph = after(world, 4)
    asked, blocks = wanted(graph.goal)
    assert names(asked) == [("image", oid(0)), ("image", oid(1))]
    assert blocks == []
    after(world, 3)
    assert wanted(graph_of(world).goal) == ([], [])


@pytest.mark.parametrize(
    ("released", "asked"),
    [
        (("mosaic",), [("mosaic", "g1")]),
        (("convert", "image"), [("convert", oid(0)), ("convert", oid(1)), ("image", oid(0)), ("image", oid(1))]),
        (("solve", "apply", "image", "mosaic"), [("solve", "g1")]),
    ],
)
def test_released_runs_are_wanted_from_the_first_that_can_run(released, asked):
    world = a_world()
    after(world, 6)
    for task, run in world.runs.items():
        if run.stage in released:
            world.runs[task] = run.model_copy(update={"present": False})
    graph = graph_of(world)
    assert state(graph, released[0], next(iter(graph.nodes[released[0]]))) is State.RELEASED
    assert names(wanted(graph.goal)[0]) == asked


def test_a_failure_is_named_as_the_cause_all_the_way_down():
    world = a_world()
    after(world, 2)
    world.fail(world.decide().tasks[0], "DataQuality", final=True)
    graph = graph_of(world)
    solve = graph.nodes["solve"]["g1"]
    assert solve.state is State.FAILED
    for stage, unit in (("apply", oid(0)), ("image", oid(1)), ("mosaic", "g1"), ("publish", "g1")):
        node = graph.nodes[stage][unit]
        assert (node.state, node.cause, node.error) == (State.SKIPPED, solve, "DataQuality")
    assert wanted(graph.goal) == ([], [])


def test_too_few_members_fail_the_stage_that_needs_them_and_name_the_reason():
    world = a_world(3)
    bad = world.decide().tasks[1]
    world.fail(bad, "BadInput", final=True)
    after(world, 1)
    group = graph_of(world).nodes["group"]["g1"]
    assert (group.state, group.error) == (State.FAILED, "MembersFailed")
    assert group.message == (
        "2 of 3 members succeeded and 3 are needed (spec.minMembers); "
        f"not usable: {oid(1)} (convert: convert of {oid(1)} met BadInput)"
    )


def test_a_run_decides_before_its_tries_do():
    world = a_world()
    task = world.decide().tasks[0]
    world.commit(task)
    world.start(task)
    world.tries[task.task] = world.tries[task.task].model_copy(update={"final": True, "running": False})
    assert state(graph_of(world), "convert", task.unit) is State.DONE


def test_figures_that_forbid_the_result_are_named():
    world = a_world()
    after(world, 1)
    task = next(run for run in world.runs.values() if run.unit == oid(0))
    figure = judge("convert.flagged", 0.7, failed_above=0.6)
    world.runs[task.task] = task.model_copy(update={"verdict": Verdict.FAILED, "figures": (figure,)})
    node = graph_of(world).nodes["convert"][oid(0)]
    assert node.state is State.FAILED
    assert node.message == "the figures forbid using the result: convert.flagged = 0.7 (failed > 0.6)"


def test_failures_of_an_older_round_count_no_more():
    world = a_world(replay=1)
    task = world.decide().tasks[0]
    world.fail(task.model_copy(update={"round": 0}), "BadInput", final=True)
    assert state(graph_of(world), "convert", task.unit) is State.OPEN
    world.fail(task, "BadInput", final=True)
    assert state(graph_of(world), "convert", task.unit) is State.FAILED
