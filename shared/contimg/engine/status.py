"""The status users see: phase, conditions, stage list, message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from contimg.engine.graph import Graph
from contimg.engine.node import BAD, USABLE, Node, State
from contimg.engine.plan import StagePlan
from contimg.engine.words import clip, incompleteness, several
from contimg.limits import MEMBERS_SHOWN
from contimg.models.decide import Block
from contimg.models.fact import GroupRecord
from contimg.models.group import Condition, GroupStatus, ObservationGroup, Policy, StageStatus, UnitFailure
from contimg.models.observation import ObservationState
from contimg.models.quality import Verdict, worst
from contimg.models.reason import Phase, Reason

__all__ = ["View", "published", "refused", "render", "silent", "stage_list", "suspended", "unpublished"]


FAILURE = 300
"""Characters of the message of one failed unit: nine stages with five of them stay far below 64 KB."""
FAILURES = 5

Tri = Literal["True", "False", "Unknown"]
Kind = Literal["Succeeded", "Progressing", "Stalled", "Degraded"]


@dataclass(frozen=True)
class View:
    """What every status starts from."""

    group: ObservationGroup
    now: datetime
    previous: GroupStatus | None


@dataclass(frozen=True)
class Summary:
    """What a status says in the end."""

    phase: Phase
    reason: Reason
    message: str
    succeeded: Tri = "Unknown"
    progressing: Tri = "False"
    stalled: Tri = "False"
    degraded: tuple[Reason, str] | None = None
    """Reason and message."""
    stage: str = ""
    progress: str = "0/0"
    verdict: Verdict | None = None
    members: tuple[str, ...] = ()
    stages: tuple[StageStatus, ...] = ()
    finished: datetime | None = None


def _make(view: View, summary: Summary) -> GroupStatus:
    """Return the whole status."""
    previous = view.previous
    return GroupStatus(
        observed_generation=view.group.metadata.generation,
        phase=summary.phase,
        stage=summary.stage,
        progress=summary.progress,
        message=clip(summary.message),
        verdict=summary.verdict,
        members=summary.members[:MEMBERS_SHOWN],
        member_count=len(summary.members),
        stages=summary.stages,
        conditions=_conditions(view, summary),
        started=previous.started if previous is not None and previous.started is not None else view.now,
        finished=summary.finished,
    )


def _conditions(view: View, summary: Summary) -> tuple[Condition, ...]:
    reason, message = summary.degraded or (Reason.NOT_DEGRADED, "")
    known = summary.succeeded != "Unknown"
    stalled = summary.stalled == "True"
    told = summary.message
    return (
        _condition(view, "Succeeded", summary.succeeded, summary.reason if known else Reason.IN_PROGRESS, told),
        _condition(view, "Progressing", summary.progressing, summary.reason, told),
        _condition(view, "Stalled", summary.stalled, summary.reason if stalled else Reason.NOT_STALLED, told),
        _condition(view, "Degraded", "True" if summary.degraded else "False", reason, message),
    )


def _condition(view: View, type_: Kind, status: Tri, reason: Reason, message: str) -> Condition:
    """Return one condition; its time moves only when its status flips."""
    old = view.previous.condition(type_) if view.previous is not None else None
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=clip(message) if status != "False" or type_ == "Succeeded" else "",
        observed_generation=view.group.metadata.generation,
        last_transition_time=old.last_transition_time if old is not None and old.status == status else view.now,
    )


def silent(view: View, reason: Reason) -> GroupStatus:
    """Return the last status with ``Progressing`` unknown: the keeper or the bus does not answer."""
    who = "the keeper" if reason is Reason.FACTS_UNAVAILABLE else "the message bus"
    text = f"{who} does not answer, so nothing is asked for; running attempts go on"
    old = view.previous
    summary = Summary(Phase.WAITING, reason, text, progressing="Unknown")
    if old is None:
        return _make(view, summary)
    status = _make(view, replace(summary, phase=old.phase))
    kept = tuple(old.condition(item.type) or item for item in status.conditions if item.type != "Progressing")
    fresh = tuple(item for item in status.conditions if item.type == "Progressing")
    generation = view.group.metadata.generation
    return old.model_copy(
        update={"conditions": kept[:1] + fresh + kept[1:], "message": text, "observed_generation": generation}
    )


def refused(
    group: ObservationGroup,
    now: datetime,
    previous: GroupStatus | None,
    message: str,
    reason: Reason = Reason.BAD_CONFIG,
) -> GroupStatus:
    """Return the status of a group that cannot be judged; what was shown of its stages stays."""
    summary = Summary(Phase.STALLED, reason, message, stalled="True")
    if previous is not None:
        summary = replace(summary, members=previous.members, stages=previous.stages, stage=previous.stage)
    return _make(View(group, now, previous), summary)


def published(view: View, record: GroupRecord, graph: Graph | None) -> GroupStatus:
    """Return the status of a complete group; upgrades since then change nothing in it."""
    old = view.previous
    known = graph is not None and graph.goal.recipe is not None and graph.goal.recipe.task == record.task
    stages = stage_list(graph) if graph is not None and known else (old.stages if old is not None else ())
    if graph is not None and known:
        degraded = degradation(graph)
    else:
        seen = old.condition("Degraded") if old is not None else None
        degraded = (seen.reason, seen.message) if seen is not None and seen.status == "True" else None
    summary = Summary(
        Phase.PUBLISHED,
        Reason.PUBLISHED,
        f"published with verdict {record.verdict.value}",
        succeeded="True",
        degraded=degraded,
        stage=stages[-1].stage if stages else "",
        progress="1/1",
        verdict=record.verdict,
        members=record.members or (old.members if old is not None else ()),
        stages=stages,
        finished=record.at,
    )
    return _make(view, summary)


def unpublished(view: View, record: GroupRecord, graph: Graph) -> GroupStatus:
    """Return the status of a group whose product exists and was not published."""
    publish = view.group.spec.publish
    waits = publish.policy is Policy.MANUAL and not publish.approve
    why = record.reason or f"verdict {record.verdict.value} under policy {publish.policy.value}"
    cure = "" if waits and "publish.approve" in record.reason else f"; to publish it, {_permit(waits)}"
    summary = Summary(
        Phase.UNPUBLISHED,
        Reason.WAITING_FOR_APPROVAL if waits else Reason.POLICY_NOT_MET,
        f"not published: {why}{cure}",
        succeeded="False",
        degraded=degradation(graph),
        stage=graph.goal.plan.name,
        progress="1/1",
        verdict=record.verdict,
        members=graph.selected.names,
        stages=stage_list(graph),
        finished=record.at,
    )
    return _make(view, summary)


def _permit(waits: bool) -> str:
    return "set spec.publish.approve to true" if waits else "change spec.publish.policy or the parameters"


def suspended(view: View, graph: Graph) -> GroupStatus:
    """Return the status of a group that asks for nothing."""
    running = sum(node.state is State.RUNNING for node in graph.all())
    text = "suspended: nothing is asked for" + (f"; {several(running, 'task')} still running" if running else "")
    return _make(view, _described(graph, Summary(Phase.SUSPENDED, Reason.SUSPENDED, text)))


def render(view: View, graph: Graph, asked: Sequence[Node], blocks: Sequence[Block]) -> GroupStatus:
    """Return the status of a group that is not complete."""
    return _make(view, _described(graph, _outcome(view, graph, asked, blocks), asked))


def _outcome(view: View, graph: Graph, asked: Sequence[Node], blocks: Sequence[Block]) -> Summary:
    goal = graph.goal
    if goal.state in BAD:
        return _failed(view, goal)
    moving = bool(asked) or any(node.state is State.RUNNING for node in graph.all())
    waits = "; ".join(dict.fromkeys(item.message for item in sorted(blocks, key=lambda item: not item.stalled)))
    stalled = next((item for item in blocks if item.stalled), None)
    if moving:
        full = graph.facts.bus_full and bool(asked)
        text = (
            f"the message bus is full, {several(len(asked), 'task')} cannot be queued yet"
            if full
            else _work(graph, asked)
        )
        text = "; ".join(part for part in (text, _damage(asked), _held_up(asked), waits) if part)
        return Summary(Phase.RUNNING, Reason.BUS_FULL if full else Reason.RUNNING, text, progressing="True")
    if stalled is not None:
        return Summary(Phase.STALLED, stalled.reason, waits, stalled="True")
    reason = blocks[0].reason if blocks else Reason.WAITING
    return Summary(Phase.WAITING, reason, waits or f"waiting for stage {_at_work(graph, ()).name}", progressing="True")


def _damage(asked: Sequence[Node]) -> str:
    """Say which committed runs are made again, and why."""
    found = [node for node in asked if node.state is State.RELEASED and node.message]
    return f"made again: {found[0].plan.name} {found[0].unit} ({clip(found[0].message, FAILURE)})" if found else ""


def _held_up(asked: Sequence[Node]) -> str:
    """Say why workers do not begin what they have."""
    found = [node for node in asked if node.state is State.OPEN and node.message]
    return f"{found[0].plan.name} {found[0].unit}: {clip(found[0].message, FAILURE)}" if found else ""


def _failed(view: View, goal: Node) -> Summary:
    cause = goal.cause or goal
    unit = "" if cause.unit == view.group.name else f" of {cause.unit}"
    told = cause.message or cause.error
    text = f"stage {cause.plan.name}{unit} failed ({cause.error}): {clip(told, 700)}; {_cure(cause)}"
    old = view.previous
    same = old is not None and old.phase is Phase.FAILED and old.finished is not None
    at = old.finished if same and old is not None else view.now
    return Summary(Phase.FAILED, Reason.of_error(cause.error), text, succeeded="False", finished=at)


def _cure(cause: Node) -> str:
    if cause.recipe is None:
        return "mend them and raise spec.replay, or lower spec.minMembers"
    return "mend that and raise spec.replay" if cause.run is None else "change the parameters or the selection"


def _described(graph: Graph, summary: Summary, asked: Sequence[Node] = ()) -> Summary:
    """Add what is known of the members and stages."""
    stages = stage_list(graph)
    cause = graph.goal.cause or graph.goal
    plan = cause.plan if graph.goal.state in BAD else _at_work(graph, asked)
    line = next(item for item in stages if item.stage == plan.name)
    verdicts = [node.run.verdict for node in graph.all() if node.run is not None and node.state is not State.FAILED]
    return replace(
        summary,
        degraded=degradation(graph),
        stage=plan.name,
        progress=f"{line.done}/{line.total}",
        verdict=worst(verdicts) if verdicts else None,
        members=graph.selected.names,
        stages=stages,
    )


def _at_work(graph: Graph, asked: Sequence[Node]) -> StagePlan:
    """Return the first stage with something to do, running or asked for; else the first that is not final."""
    busy = {node.plan.name for node in asked}
    busy |= {node.plan.name for node in graph.all() if node.state is State.RUNNING}
    still = {node.plan.name for node in graph.all() if node.state in (State.OPEN, State.PENDING, State.RUNNING)}
    known = [plan for plan in graph.plans if plan.name in (busy or still)]
    return known[0] if known else graph.plans[-1]


def _work(graph: Graph, asked: Sequence[Node]) -> str:
    line = _line(graph, _at_work(graph, asked))
    text = f"{line.stage}: {line.done} of {line.total} done, {line.running} running"
    return text + (f", {line.failed} failed" if line.failed else "")


def degradation(graph: Graph) -> tuple[Reason, str] | None:
    """Return reason and message of ``Degraded``; None when all is well."""
    parts: list[tuple[Reason, str]] = []
    lost = graph.lost()
    if lost:
        shown = "; ".join(f"{unit} ({why})" for unit, why in lost[:FAILURES])
        more = f"; and {len(lost) - FAILURES} more" if len(lost) > FAILURES else ""
        parts.append((Reason.MEMBERS_DROPPED, f"without {len(lost)} of the observations: {shown}{more}"))
    chosen = [node.choice.degraded for node in graph.all() if node.choice is not None and node.choice.degraded]
    parts += list(dict.fromkeys(chosen))[:FAILURES]
    low = [node for node in graph.all() if node.run is not None and node.run.verdict is Verdict.DEGRADED]
    if low:
        named = ", ".join(dict.fromkeys(f"{node.plan.name} {node.unit}" for node in low[:FAILURES]))
        text = f"figures degraded in {len(low)} runs: {named}" if low[1:] else f"degraded: {named}"
        parts.append((Reason.QUALITY, text))
    return (parts[0][0], "; ".join(text for _, text in parts)) if parts else None


def stage_list(graph: Graph) -> tuple[StageStatus, ...]:
    """Return one line for the arrivals and one per stage."""
    return (_arrivals(graph), *(_line(graph, plan) for plan in graph.plans))


def _arrivals(graph: Graph) -> StageStatus:
    selected = graph.selected
    sealed = len(selected.members) + len(selected.calibrators)
    failures = [
        UnitFailure(unit=item.id, error="Incomplete", message=clip(incompleteness(item), FAILURE))
        for item in selected.incomplete[:FAILURES]
    ]
    return StageStatus(
        stage=graph.watcher,
        done=sealed,
        total=max(selected.expected + len(selected.calibrators), sealed),
        failed=len(selected.incomplete),
        failures=tuple(failures),
    )


def _line(graph: Graph, plan: StagePlan) -> StageStatus:
    nodes = list(graph.nodes[plan.name].values())
    runs = [node.run for node in nodes if node.run is not None]
    failed = [node for node in nodes if node.state is State.FAILED]
    return StageStatus(
        stage=plan.name,
        done=sum(node.state in USABLE for node in nodes),
        total=_total(graph, plan, nodes),
        running=sum(node.state is State.RUNNING for node in nodes),
        failed=len(failed),
        failures=tuple(_failure(node) for node in failed[:FAILURES]),
        seconds=round(sum(run.wall_s for run in runs), 3),
        verdict=worst(run.verdict for run in runs) if runs else None,
    )


def _failure(node: Node) -> UnitFailure:
    return UnitFailure(
        unit=node.unit,
        error=node.error,
        message=clip(node.message, FAILURE),
        task=node.recipe.task if node.recipe is not None else None,
    )


def _total(graph: Graph, plan: StagePlan, nodes: Iterable[Node]) -> int:
    known = len(list(nodes))
    if not plan.per_observation:
        return known
    selected = graph.selected
    lost = sum(item.state is ObservationState.INCOMPLETE for item in selected.targets)
    return max(known, selected.expected - lost)
