"""The blocking reason in a few sentences: what, since when, and what would end it."""

from __future__ import annotations

from datetime import datetime

from contimg.engine.advance import Decision
from contimg.engine.words import stamp
from contimg.models.group import Condition, GroupStatus, ObservationGroup, StageStatus
from contimg.models.reason import CURES, Phase

__all__ = ["why"]

TOLD = (Phase.FAILED, Phase.UNPUBLISHED)
"""Phases whose message names the cure itself."""


def why(group: ObservationGroup, decision: Decision) -> str:
    """Return what keeps a group from being published, in a few sentences, each thing once.

    The first says what, the second since when and where it stands, the third what would end it; then follow the units
    that failed.
    """
    status = decision.status
    told = _telling(status)
    head = f"{group.name} is {status.phase.lower()}: {status.message.rstrip('.')}."
    if status.phase is Phase.PUBLISHED:
        return " ".join([head, *_degraded(status)])
    parts = [head, _since(told, status)]
    parts += [] if status.phase in TOLD else [CURES[told.reason]]
    parts += _asked(decision) + _degraded(status) + _failures(status)
    if decision.look_again is not None:
        parts.append(f"Next look at {_time(decision.look_again)}.")
    return " ".join(part for part in parts if part)


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
    news = found is not None and found.status == "True" and found.message not in status.message
    return [f"Degraded: {found.message}."] if found is not None and news else []


def _failures(status: GroupStatus) -> list[str]:
    return [text for line in status.stages if (text := _failed(line, status.message))]


def _failed(line: StageStatus, known: str) -> str:
    """Name the units that failed in a stage; what the message says already is not said again."""
    news = [item for item in line.failures if item.message[:200] not in known]
    if not news:
        return ""
    named = "; ".join(f"{item.unit} ({item.error}: {item.message})" for item in news)
    more = f" and {line.failed - len(line.failures)} more" if line.failed > len(line.failures) else ""
    return f"Failed in {line.stage}: {named}{more}."


def _time(time: datetime) -> str:
    return f"{stamp(time)} UTC"
