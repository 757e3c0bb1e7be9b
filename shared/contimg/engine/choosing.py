"""What a stage's ``decide`` chose, frozen by the first record of its task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from contimg.engine.plan import StagePlan
from contimg.models.decide import Answer, Block, Choice, Problem
from contimg.models.fact import Facts, OfferWindow
from contimg.models.identity import canonical
from contimg.models.reason import Reason
from contimg.models.spec import Scope, load

__all__ = ["choices", "first_record", "units_of", "windows"]

T = TypeVar("T")


def choices(
    plan: StagePlan, problem: Problem, facts: Facts, identify: Callable[[Choice], str]
) -> Sequence[Choice] | Block:
    """Return what a stage does, or what its choice waits for.

    The choice of the first task on record stands: a better one that appears later changes nothing until
    ``spec.reprocess`` is raised, after which only records younger than the group's last publication count.

    Parameters
    ----------
    plan
        The stage.
    problem
        What the choice depends on.
    facts
        Records of earlier tasks of the same unit.
    identify
        Gives the task id that the stage would have with a choice.
    """

    def judged() -> tuple[Answer, dict[str, Choice]]:
        _wanted(plan, problem)  # what it cannot say would else be no offers, without a word
        answer: Answer = load(plan.spec.decide)(problem)
        canonical([item.options for item in answer.choices])  # what has no identity is refused here
        return answer, _frozen(answer, _records(plan, problem, facts), identify)

    result = _guarded(judged)
    if isinstance(result, str):
        return Block(Reason.NOT_JUDGED, f"stage {plan.name} cannot decide for this group: {result}", stalled=True)
    answer, frozen = result
    if plan.spec.scope is Scope.PARTITION:
        return answer.block or [frozen.get(item.key, item) for item in answer.choices] or _nothing(plan)
    if frozen:
        return [next(iter(frozen.values()))]
    return answer.block or answer.choices[:1] or _nothing(plan)


def _guarded(call: Callable[[], T]) -> T | str:
    """Return what code of a stage returns, or in words why it could not."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - code of a stage: a group that it cannot judge must not stop the others
        return f"{type(error).__name__}: {error}"


def units_of(plan: StagePlan, problem: Problem) -> tuple[str, ...]:
    """Return the units whose records freeze what the stage chose; none if it cannot choose otherwise."""
    answer = _guarded(lambda: load(plan.spec.decide)(problem))
    if not isinstance(answer, Answer):
        return ()
    name = problem.group.name
    if plan.spec.scope is Scope.PARTITION:
        return tuple(dict.fromkeys(f"{name}.{item.key}" for item in answer.candidates))
    return (name,) if answer.candidates else ()


def windows(plan: StagePlan, problem: Problem) -> tuple[OfferWindow, ...]:
    """Return which offers of other groups the stage must know; none if it cannot say."""
    found = _guarded(lambda: _wanted(plan, problem))
    return () if isinstance(found, str) else found  # choices asks the same again and tells what is wrong


def _wanted(plan: StagePlan, problem: Problem) -> tuple[OfferWindow, ...]:
    return tuple(load(plan.spec.wants)(problem)) if plan.spec.wants else ()


def _nothing(plan: StagePlan) -> Block:
    return Block(Reason.NOTHING_TO_CHOOSE, f"stage {plan.name} decided on nothing", stalled=True)


def _records(plan: StagePlan, problem: Problem, facts: Facts) -> dict[str, datetime]:
    """Return when the tasks of this stage and group on record were first heard of, as far as they count."""
    name = problem.group.name
    named = [(run.stage, run.unit, task) for task, run in facts.runs.items()]
    named += [(t.last.stage, t.last.unit, task) for task, t in facts.tries.items() if t.last is not None]
    ours = {task for stage, unit, task in named if stage == plan.name and (unit == name or unit.startswith(f"{name}."))}
    times = {task: first_record(facts, task) for task in ours}
    since = facts.record.at if facts.record is not None and problem.group.spec.reprocess > 0 else None
    return {task: at for task, at in times.items() if at is not None and (since is None or at > since)}


def _frozen(answer: Answer, records: dict[str, datetime], identify: Callable[[Choice], str]) -> dict[str, Choice]:
    """Return, by key, the candidate whose task is on record first; what is chosen now is looked at first."""
    found: dict[str, tuple[datetime, str, Choice]] = {}
    left = dict(records)
    for choice in (*answer.choices, *answer.candidates) if answer.candidates else ():
        if not left:
            break
        task = identify(choice)
        at = left.pop(task, None)
        if at is not None and (choice.key not in found or (at, task) < found[choice.key][:2]):
            found[choice.key] = (at, task, choice)
    return {key: choice for key, (_, _, choice) in found.items()}


def first_record(facts: Facts, task: str) -> datetime | None:
    """Return when a task was first heard of: the start of its first try, else the end of its run."""
    tried = facts.tries.get(task)
    if tried is not None and (tried.first or tried.last) is not None:
        return tried.first or (tried.last.started if tried.last is not None else None)
    return facts.runs[task].finished if task in facts.runs else None
