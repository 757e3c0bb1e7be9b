"""The status users see: phase, conditions, stage list, message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from contimg.engine.graph import BAD, USABLE, Graph, Node, State
from contimg.engine.plan import WATCHER, StagePlan
from contimg.engine.selection import Block, clip, incompleteness
from contimg.models.fact import GroupRecord
from contimg.models.group import Condition, GroupStatus, ObservationGroup, Policy, StageStatus, UnitFailure
from contimg.models.observation import ObservationState
from contimg.models.quality import Verdict, worst

__all__ = ["Said", "View", "published", "refused", "render", "silent", "stage_list", "suspended", "unpublished"]

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
class Said:
    """What a status says in the end."""

    phase: str
    reason: str
    message: str
    succeeded: Tri = "Unknown"
    progressing: Tri = "False"
    stalled: Tri = "False"
    degraded: tuple[str, str] = ("", "")
    """Reason and message; empty: not degraded."""
    stage: str = ""
    progress: str = "0/0"
    verdict: Verdict | None = None
    members: tuple[str, ...] = ()
    stages: tuple[StageStatus, ...] = ()
    finished: datetime | None = None


def make(view: View, said: Said) -> GroupStatus:
    """Return the whole status."""
    previous = view.previous
    return GroupStatus(
        observed_generation=view.group.metadata.generation,
        phase=said.phase,
        stage=said.stage,
        progress=said.progress,
        message=clip(said.message),
        verdict=said.verdict,
        members=said.members,
        stages=said.stages,
        conditions=_conditions(view, said),
        started=previous.started if previous is not None and previous.started is not None else view.now,
        finished=said.finished,
    )


def _conditions(view: View, said: Said) -> tuple[Condition, ...]:
    reason, message = said.degraded
    known = said.succeeded != "Unknown"
    stalled = said.stalled == "True"
    return (
        _condition(view, "Succeeded", said.succeeded, said.reason if known else "InProgress", said.message),
        _condition(view, "Progressing", said.progressing, said.reason, said.message),
        _condition(view, "Stalled", said.stalled, said.reason if stalled else "NotStalled", said.message),
        _condition(view, "Degraded", "True" if reason else "False", reason or "NotDegraded", message),
    )


def _condition(view: View, type_: Kind, status: Tri, reason: str, message: str) -> Condition:
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


def silent(view: View) -> GroupStatus:
    """Return the last status with ``Progressing`` unknown: the keeper does not answer."""
    text = "the keeper does not answer, so nothing is asked for; running attempts go on"
    old = view.previous
    said = Said("Waiting", "FactsUnavailable", text, progressing="Unknown")
    if old is None:
        return make(view, said)
    status = make(view, replace(said, phase=old.phase))
    kept = tuple(old.condition(item.type) or item for item in status.conditions if item.type != "Progressing")
    fresh = tuple(item for item in status.conditions if item.type == "Progressing")
    generation = view.group.metadata.generation
    return old.model_copy(
        update={"conditions": kept[:1] + fresh + kept[1:], "message": text, "observed_generation": generation}
    )


def refused(view: View, message: str) -> GroupStatus:
    """Return the status of a group whose spec is not valid."""
    members = view.previous.members if view.previous is not None else ()
    return make(view, Said("Stalled", "BadConfig", message, stalled="True", members=members))


def published(view: View, record: GroupRecord, graph: Graph | None) -> GroupStatus:
    """Return the status of a complete group; upgrades since then change nothing in it."""
    old = view.previous
    known = graph is not None and graph.goal.recipe is not None and graph.goal.recipe.task == record.task
    stages = stage_list(graph) if graph is not None and known else (old.stages if old is not None else ())
    if graph is not None and known:
        degraded = degradation(graph)
    else:
        seen = old.condition("Degraded") if old is not None else None
        degraded = (seen.reason, seen.message) if seen is not None and seen.status == "True" else ("", "")
    said = Said(
        "Published",
        "Published",
        f"published with verdict {record.verdict.value}",
        succeeded="True",
        degraded=degraded,
        stage="publish",
        progress="1/1",
        verdict=record.verdict,
        members=record.members or (old.members if old is not None else ()),
        stages=stages,
        finished=record.at,
    )
    return make(view, said)


def unpublished(view: View, record: GroupRecord, graph: Graph) -> GroupStatus:
    """Return the status of a group whose product exists and was not published."""
    publish = view.group.spec.publish
    waits = publish.policy is Policy.MANUAL and not publish.approve
    why = record.reason or f"verdict {record.verdict.value} under policy {publish.policy.value}"
    cure = "" if waits and record.reason else f"; to publish it, {_permit(waits)}"
    said = Said(
        "Unpublished",
        "WaitingForApproval" if waits else "PolicyNotMet",
        f"not published: {why}{cure}",
        succeeded="False",
        degraded=degradation(graph),
        stage="publish",
        progress="1/1",
        verdict=record.verdict,
        members=graph.selected.names,
        stages=stage_list(graph),
        finished=record.at,
    )
    return make(view, said)


def _permit(waits: bool) -> str:
    return "set spec.publish.approve to true" if waits else "change spec.publish.policy or the parameters"


def suspended(view: View, graph: Graph) -> GroupStatus:
    """Return the status of a group that asks for nothing."""
    running = sum(node.state is State.RUNNING for node in graph.all())
    text = "suspended: nothing is asked for" + (f"; {_tasks(running)} still running" if running else "")
    return make(view, _described(graph, Said("Suspended", "Suspended", text)))


def render(view: View, graph: Graph, asked: Sequence[Node], blocks: Sequence[Block]) -> GroupStatus:
    """Return the status of a group that is not complete."""
    return make(view, _described(graph, _outcome(view, graph, asked, blocks), asked))


def _outcome(view: View, graph: Graph, asked: Sequence[Node], blocks: Sequence[Block]) -> Said:
    goal = graph.goal
    if goal.state in BAD:
        return _failed(view, goal)
    moving = bool(asked) or any(node.state is State.RUNNING for node in graph.all())
    waits = "; ".join(dict.fromkeys(item.message for item in sorted(blocks, key=lambda item: not item.stalled)))
    stalled = next((item for item in blocks if item.stalled), None)
    if moving:
        full = graph.facts.bus_full and bool(asked)
        text = f"the message bus is full, {_tasks(len(asked))} cannot be queued yet" if full else _work(graph, asked)
        text = f"{text}; {waits}" if waits else text
        return Said("Running", "BusFull" if full else "Running", text, progressing="True")
    if stalled is not None:
        return Said("Stalled", stalled.reason, waits, stalled="True")
    reason = blocks[0].reason if blocks else "Waiting"
    return Said("Waiting", reason, waits or f"waiting for stage {_at_work(graph, ()).name}", progressing="True")


def _failed(view: View, goal: Node) -> Said:
    cause = goal.cause or goal
    unit = "" if cause.unit == view.group.name else f" of {cause.unit}"
    told = cause.message or cause.error
    text = f"stage {cause.plan.name}{unit} failed ({cause.error}): {clip(told, 700)}; {_cure(cause)}"
    old = view.previous
    same = old is not None and old.phase == "Failed" and old.finished is not None
    at = old.finished if same and old is not None else view.now
    return Said("Failed", cause.error or "StageFailed", text, succeeded="False", finished=at)


def _cure(cause: Node) -> str:
    if cause.recipe is None:
        return "mend them and raise spec.replay, or lower spec.minMembers"
    return "mend that and raise spec.replay" if cause.run is None else "change the parameters or the selection"


def _described(graph: Graph, said: Said, asked: Sequence[Node] = ()) -> Said:
    """Add what is known of the members and stages."""
    stages = stage_list(graph)
    cause = graph.goal.cause or graph.goal
    plan = cause.plan if graph.goal.state in BAD else _at_work(graph, asked)
    line = next(item for item in stages if item.stage == plan.name)
    verdicts = [node.run.verdict for node in graph.all() if node.run is not None and node.state is not State.FAILED]
    return replace(
        said,
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


def _tasks(number: int) -> str:
    return f"{number} task{'' if number == 1 else 's'}"


def degradation(graph: Graph) -> tuple[str, str]:
    """Return reason and message of ``Degraded``; empty strings when all is well."""
    parts: list[tuple[str, str]] = []
    lost = graph.lost()
    if lost:
        shown = "; ".join(f"{unit} ({why})" for unit, why in lost[:FAILURES])
        more = f"; and {len(lost) - FAILURES} more" if len(lost) > FAILURES else ""
        parts.append(("MembersDropped", f"without {len(lost)} of the observations: {shown}{more}"))
    choice = _calibration(graph)
    if choice.get("mode") == "borrowed":
        parts.append(
            ("BorrowedCalibration", f"bandpass borrowed from {choice['calibrator']} at {choice['transit']} UTC")
        )
    low = [node for node in graph.all() if node.run is not None and node.run.verdict is Verdict.DEGRADED]
    if low:
        named = ", ".join(dict.fromkeys(f"{node.plan.name} {node.unit}" for node in low[:FAILURES]))
        parts.append(("Quality", f"figures degraded in {len(low)} runs: {named}" if low[1:] else f"degraded: {named}"))
    return (parts[0][0], "; ".join(text for _, text in parts)) if parts else ("", "")


def _calibration(graph: Graph) -> dict[str, str]:
    node = next(iter(graph.nodes.get("solve", {}).values()), None)
    found: dict[str, str] = {}
    if node is not None and node.recipe is not None:
        found = node.recipe.options.get("calibration", {})
    return found


def stage_list(graph: Graph) -> tuple[StageStatus, ...]:
    """Return one line per stage; the watcher's line counts observations."""
    return (_ingest_line(graph), *(_line(graph, plan) for plan in graph.plans))


def _ingest_line(graph: Graph) -> StageStatus:
    selected = graph.selected
    sealed = len(selected.members) + len(selected.calibrators)
    failures = [
        UnitFailure(unit=item.id, error="Incomplete", message=clip(incompleteness(item), FAILURE))
        for item in selected.incomplete[:FAILURES]
    ]
    return StageStatus(
        stage=WATCHER,
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
