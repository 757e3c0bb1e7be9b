"""The blocking reason in a few sentences: what, since when, and what would end it."""

from __future__ import annotations

from datetime import datetime

from contimg.engine.advance import Decision
from contimg.engine.selection import stamp
from contimg.models.group import Condition, GroupStatus, ObservationGroup, StageStatus

__all__ = ["why"]

CURES = {
    "BadConfig": "Correct the field in the group's YAML and apply it again.",
    "BusFull": "It goes on when workers have taken messages off the queue; add workers if that is too slow.",
    "FactsUnavailable": "It goes on when the keeper answers again; look at its log.",
    "InputsReleased": "Restore what was cleaned up, or edit the group so that it is not needed.",
    "MembersFailed": "Mend the members named and raise spec.replay, or lower spec.minMembers.",
    "NoCalibration": "A solved bandpass within reach ends this; so does another spec.calibrator.",
    "NoObservations": "Correct spec.observations, or bring the files into incoming/.",
    "PolicyNotMet": "Look at the report, then change the parameters or spec.publish.policy.",
    "Suspended": "Set spec.suspend to false.",
    "WaitingForApproval": "Look at the product, then set spec.publish.approve to true.",
    "WaitingForObservations": "It goes on when the files arrive, or when their deadline passes.",
    "WaitingForScan": "It goes on when ingest has finished a scan; look whether ingest runs.",
    "WaitingForTransit": "It goes on when that bandpass is solved, or at the time named without it.",
}
"""What would end a wait, by reason."""


def why(group: ObservationGroup, decision: Decision) -> str:
    """Return what keeps a group from being published, in a few sentences.

    The first says what, the second since when and where it stands, the last what would end it; then follow the units
    that failed.
    """
    status = decision.status
    told = _telling(status)
    head = f"{group.name} is {_phase(status)}: {status.message}."
    if status.phase == "Published":
        return " ".join([head, *_degraded(status)])
    parts = [head, _since(told, status)]
    parts += [CURES[told.reason]] if told.reason in CURES else []
    parts += _asked(decision) + _degraded(status) + _failures(status)
    if decision.look_again is not None:
        parts.append(f"Next look at {_time(decision.look_again)}.")
    return " ".join(part for part in parts if part)


def _phase(status: GroupStatus) -> str:
    return {"Waiting": "waiting", "Running": "running", "Stalled": "stalled"}.get(status.phase, status.phase.lower())


def _telling(status: GroupStatus) -> Condition:
    """Return the condition that says most about where the group stands."""
    by_type = {item.type: item for item in status.conditions}
    if by_type["Stalled"].status == "True":
        return by_type["Stalled"]
    return by_type["Succeeded"] if by_type["Succeeded"].status == "False" else by_type["Progressing"]


def _since(told: Condition, status: GroupStatus) -> str:
    done = f"; stage {status.stage} stands at {status.progress}" if status.stage else ""
    return f"{told.reason} since {_time(told.last_transition_time)}{done}."


def _asked(decision: Decision) -> list[str]:
    if not decision.tasks:
        return []
    counts: dict[str, int] = {}
    for task in decision.tasks:
        counts[task.stage] = counts.get(task.stage, 0) + 1
    return ["Asked for: " + ", ".join(f"{number} {stage}" for stage, number in counts.items()) + "."]


def _degraded(status: GroupStatus) -> list[str]:
    found = status.condition("Degraded")
    return [f"Degraded: {found.message}."] if found is not None and found.status == "True" else []


def _failures(status: GroupStatus) -> list[str]:
    return [_failed(line) for line in status.stages if line.failures]


def _failed(line: StageStatus) -> str:
    named = "; ".join(f"{item.unit} ({item.error}: {item.message})" for item in line.failures)
    more = f" and {line.failed - len(line.failures)} more" if line.failed > len(line.failures) else ""
    return f"Failed in {line.stage}: {named}{more}."


def _time(time: datetime) -> str:
    return f"{stamp(time)} UTC"
