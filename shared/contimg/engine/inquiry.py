"""What the engine must know of a group before it can decide, asked step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from contimg.engine.choosing import units_of, windows
from contimg.engine.graph import Graph, build
from contimg.engine.plan import Wish, plan_stages
from contimg.engine.selection import select
from contimg.errors import BadConfig
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts, Needs, OfferWindow
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.pipeline import Pipeline
from contimg.models.reason import Phase
from contimg.models.spec import StageSpec

__all__ = ["TASKS", "needs"]

TASKS = 5000
"""Task ids in one question: 35 bytes each."""


def needs(
    group: ObservationGroup,
    pipeline: Pipeline,
    specs: Mapping[str, StageSpec],
    facts: Facts,
    asked: Sequence[Needs],
    now: datetime,
    previous: GroupStatus | None = None,
    limits: ProtocolLimits | None = None,
) -> Needs | None:
    """Return the next question to the keeper about one group, or None when enough is known.

    ``facts = facts.merged(answer)`` takes an answer in (page after page while ``answer.more``), and the question is
    added to ``asked``. Runs that were not asked for yet are taken for granted, so that nearly all tasks can be named
    at once: two or three questions tell everything, however long the pipeline is.

    Parameters
    ----------
    group, pipeline, specs, now, previous, limits
        As for :func:`contimg.engine.advance.advance`.
    facts
        What was learned so far.
    asked
        The questions so far.
    """
    if not asked:
        return _first(group, pipeline, specs)
    if facts.keeper_silent or _complete(group, facts, previous):
        return None
    try:
        graph = _guess(group, pipeline, specs, facts, asked, now, previous, limits or ProtocolLimits())
    except BadConfig:
        return None
    known = {task for item in asked for task in item.tasks}
    tasks = [node.recipe.task for node in graph.all() if node.recipe is not None and node.recipe.task not in known]
    offers, units = tuple(_offers(graph, asked)), tuple(_units(graph, asked))
    if not tasks and not offers and not units:
        return None
    return Needs(group=group.name, tasks=tuple(dict.fromkeys(tasks))[:TASKS], offers=offers, units=units)


def _first(group: ObservationGroup, pipeline: Pipeline, specs: Mapping[str, StageSpec]) -> Needs:
    """Ask for the observations, the record, and the tasks on record of stages that choose something."""
    wish = group.spec.observations
    choosing = [item.stage for item in pipeline.stages if item.stage in specs and specs[item.stage].wants]
    return Needs(
        group=group.name,
        start=wish.start,
        end=wish.end,
        count=wish.count,
        instrument=pipeline.instrument,
        ids=wish.members,
        units=tuple((name, group.name) for name in choosing),
    )


def _complete(group: ObservationGroup, facts: Facts, previous: GroupStatus | None) -> bool:
    record = facts.record
    done = record is not None and record.published and record.current and record.spec_digest == group.spec.digest
    return done and previous is not None and previous.phase is Phase.PUBLISHED


def _guess(
    group: ObservationGroup,
    pipeline: Pipeline,
    specs: Mapping[str, StageSpec],
    facts: Facts,
    asked: Sequence[Needs],
    now: datetime,
    previous: GroupStatus | None,
    limits: ProtocolLimits,
) -> Graph:
    """Name every task, taking what was not asked for yet for granted."""
    plans = plan_stages(group, pipeline, specs, limits)
    selected = select(group, pipeline.instrument, facts, now, previous, limits)
    known = frozenset(task for item in asked for task in item.tasks)
    return build(Graph(Wish(group, group.spec.digest), plans, selected, facts, now, asked=known))


def _offers(graph: Graph, asked: Sequence[Needs]) -> Iterable[OfferWindow]:
    known = {window for item in asked for window in item.offers}
    for plan, problem in graph.problems:
        yield from (window for window in windows(plan, problem) if window not in known)


def _units(graph: Graph, asked: Sequence[Needs]) -> Iterable[tuple[str, str]]:
    known = {unit for item in asked for unit in item.units}
    for plan, problem in graph.problems:
        if (plan.name, problem.group.name) not in known:
            yield from ((plan.name, unit) for unit in units_of(plan, problem) if (plan.name, unit) not in known)
