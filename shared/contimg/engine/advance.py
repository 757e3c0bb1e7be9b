"""The one engine: from a wish and what is known to the tasks to ask for and the status to show.

It walks forward along the pipeline to name every task (identity), then backwards from the last stage to find what
is missing (wants). It keeps no memory: called again with the same facts it says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contimg.engine import status as show
from contimg.engine.graph import Graph, build, wanted
from contimg.engine.node import Node, State
from contimg.engine.plan import Wish, plan_stages
from contimg.engine.selection import select
from contimg.errors import BadConfig
from contimg.limits import ProtocolLimits
from contimg.models.base import TaskId
from contimg.models.decide import Block
from contimg.models.fact import Facts, GroupRecord
from contimg.models.group import GroupStatus, ObservationGroup, Policy
from contimg.models.pipeline import Pipeline
from contimg.models.reason import Phase, Reason
from contimg.models.spec import Scope, StageSpec
from contimg.models.task import Task

__all__ = ["Decision", "advance"]


@dataclass(frozen=True)
class Decision:
    """What the engine says about one group."""

    tasks: tuple[Task, ...]
    """To be asked for now; asking twice is harmless."""
    status: GroupStatus
    look_again: datetime | None = None
    """When time alone may change the decision; None: only new facts can."""
    wanted: tuple[TaskId, ...] = ()
    """Every task that an unfinished group may ask for, and the runs it copies from: clean-up spares them (P12)."""


def advance(
    group: ObservationGroup,
    pipeline: Pipeline,
    specs: Mapping[str, StageSpec],
    facts: Facts,
    now: datetime,
    previous: GroupStatus | None = None,
    limits: ProtocolLimits | None = None,
) -> Decision:
    """Decide what to ask for next, and say why nothing else is.

    Parameters
    ----------
    group, pipeline, specs
        The wish, its pipeline, and the stages by name.
    facts
        What :func:`contimg.engine.inquiry.needs` asked for; their order does not matter.
    now
        The time, in UTC.
    previous
        The status shown before; only moments are taken from it (first seen, last transition), the members shown, and
        what a complete group showed.
    limits
        Times of the protocol; None: those of the architecture.

    Returns
    -------
    Decision
        A wish that cannot be judged is a status (``Stalled``), never an exception.
    """
    bounds = limits or ProtocolLimits()
    view = show.View(group, now, previous)
    if facts.keeper_silent or facts.bus_away:
        again = now + timedelta(seconds=bounds.silent_again_s)
        reason = Reason.FACTS_UNAVAILABLE if facts.keeper_silent else Reason.BUS_AWAY
        return Decision((), show.silent(view, reason), again)
    wish = Wish(group, group.spec.digest)
    record = _record(wish, facts)
    complete = record is not None and record.published and record.current
    if complete and record is not None and previous is not None and previous.phase is Phase.PUBLISHED:
        return Decision((), show.published(view, record, None))
    try:
        graph = _graph(wish, pipeline, specs, facts, view, bounds)
    except BadConfig as error:
        if complete and record is not None:
            return Decision((), show.published(view, record, None))
        return Decision((), show.refused(group, now, previous, str(error)))
    if complete and record is not None:
        return Decision((), show.published(view, record, graph))
    return _decide(view, graph, record, bounds)


def _record(wish: Wish, facts: Facts) -> GroupRecord | None:
    """Return what became of exactly this wish, if it was registered and is the group's latest."""
    record = facts.record
    return record if record is not None and record.spec_digest == wish.digest else None


def _graph(
    wish: Wish,
    pipeline: Pipeline,
    specs: Mapping[str, StageSpec],
    facts: Facts,
    view: show.View,
    limits: ProtocolLimits,
) -> Graph:
    plans = plan_stages(wish.group, pipeline, specs, limits)
    selected = select(wish.group, pipeline.instrument, facts, view.now, view.previous, limits)
    return build(Graph(wish, plans, selected, facts, view.now, _watcher(pipeline, specs)))


def _watcher(pipeline: Pipeline, specs: Mapping[str, StageSpec]) -> str:
    return next((item.stage for item in pipeline.stages if specs[item.stage].scope is Scope.WATCHER), "arrivals")


def _decide(view: show.View, graph: Graph, record: GroupRecord | None, limits: ProtocolLimits) -> Decision:
    goal = graph.goal
    keep = tuple(_spared(graph))
    if record is not None and not record.published and _judged(record, graph):
        return Decision((), show.unpublished(view, record, graph), None, tuple(dict.fromkeys((*keep, record.task))))
    if view.group.spec.suspend:
        return Decision((), show.suspended(view, graph), None, keep)
    asked, blocks = wanted(goal)
    if goal.state is State.DONE:
        asked = [goal]  # committed, but names or record are not: the worker adopts the run and does its effects again
    asked = _in_order(graph, asked)
    tasks = tuple(graph.wish.task(node.plan, node.recipe) for node in asked if node.recipe is not None)
    status = show.render(view, graph, asked, blocks)
    return Decision(tasks, status, _again(graph, asked, blocks, limits), keep)


def _judged(record: GroupRecord, graph: Graph) -> bool:
    """Whether the product was judged by the policy of today: upgrades since then change nothing."""
    publish = graph.wish.group.spec.publish
    if graph.goal.recipe is not None and graph.goal.recipe.task == record.task:
        return True
    approved = publish.policy is Policy.MANUAL and publish.approve
    return record.policy == publish.policy.value and not approved


def _in_order(graph: Graph, asked: Iterable[Node]) -> list[Node]:
    chosen = {(node.plan.name, node.unit) for node in asked}
    return [node for node in graph.all() if (node.plan.name, node.unit) in chosen]


def _again(graph: Graph, asked: Sequence[Node], blocks: Iterable[Block], limits: ProtocolLimits) -> datetime | None:
    moving = bool(asked) or any(node.state is State.RUNNING for node in graph.all())
    times = [graph.now + timedelta(seconds=limits.ask_again_s)] if moving else []
    times += [item.again for item in blocks if item.again is not None and item.again > graph.now]
    return min(times, default=None)


def _spared(graph: Graph) -> Iterable[TaskId]:
    seen: dict[str, None] = {}
    for node in graph.all():
        if node.recipe is not None:
            seen[node.recipe.task] = None
            seen.update(dict.fromkeys(task for tasks in node.recipe.inputs.values() for task in tasks))
    return seen
