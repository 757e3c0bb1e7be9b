"""Groups formed from what arrives, by a survey's rule (P11)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contimg.engine.selection import incompleteness, stamp
from contimg.models.group import SELECTION_GRACE, GroupSpec, Metadata, ObservationGroup, Selection
from contimg.models.observation import ObservationRecord, ObservationState, Role
from contimg.models.survey import GroupRule

__all__ = ["Formed", "Ungrouped", "form_groups"]


@dataclass(frozen=True)
class Ungrouped:
    """A recording that no group has, with the reason in a sentence."""

    observation: str
    reason: str


@dataclass(frozen=True)
class Formed:
    """Every recording is in one of the groups or in ``ungrouped``."""

    groups: tuple[ObservationGroup, ...]
    ungrouped: tuple[Ungrouped, ...]
    look_again: datetime | None = None
    """When the last run ends unless something comes; None: nothing waits."""


@dataclass(frozen=True)
class _Run:
    """Recordings that follow each other at one declination."""

    records: tuple[ObservationRecord, ...]
    until: datetime | None
    """When it ends if nothing comes; None: it has ended."""


def form_groups(observations: Iterable[ObservationRecord], rule: GroupRule, now: datetime) -> Formed:
    """Form groups in time order.

    A run breaks where the next recording starts more than ``max_gap_s`` after the last one, or lies more than
    ``dec_tolerance_deg`` from the run's mean. Inside a run each group takes the last ``overlap`` members of the one
    before and the next ones up to ``size``, and never spans more than ``max_span_min`` from first to last start.
    What is left when the run has ended is a shorter tail group if that has ``min_size`` members.

    Parameters
    ----------
    observations
        Final recordings in any order; incomplete ones and calibrator recordings are listed as ungrouped.
    rule
        The survey's rule.
    now
        Decides whether the last run can still grow.
    """
    records = sorted({item.id: item for item in observations}.values(), key=lambda item: (item.start, item.id))
    usable = [item for item in records if _unusable(item) == ""]
    left = [Ungrouped(item.id, _unusable(item)) for item in records if _unusable(item)]
    groups: list[ObservationGroup] = []
    again = None
    for run in _runs(usable, rule, now):
        chain, rest = _chain(run, rule)
        groups += [_group(members, rule) for members in chain]
        left += [Ungrouped(item.id, _left_over(run, rest, rule)) for item in rest]
        again = run.until if rest and run.until is not None else again
    return Formed(tuple(groups), tuple(sorted(left, key=lambda item: item.observation)), again)


def _unusable(record: ObservationRecord) -> str:
    if record.state is ObservationState.INCOMPLETE:
        return incompleteness(record)
    return "" if record.role is Role.TARGET else f"a {record.role.value} calibrator recording, no target"


def _runs(records: Sequence[ObservationRecord], rule: GroupRule, now: datetime) -> list[_Run]:
    found: list[list[ObservationRecord]] = []
    for item in records:
        if found and _continues(found[-1], item, rule):
            found[-1].append(item)
        else:
            found.append([item])
    ended = [_Run(tuple(run), None) for run in found[:-1]]
    return ended + [_Run(tuple(run), _grows_until(run[-1], rule, now)) for run in found[-1:]]


def _continues(run: Sequence[ObservationRecord], item: ObservationRecord, rule: GroupRule) -> bool:
    mean = sum(member.dec_deg for member in run) / len(run)
    near = round(abs(item.dec_deg - mean), 6) <= rule.dec_tolerance_deg
    return near and item.start - run[-1].start <= timedelta(seconds=rule.max_gap_s)


def _grows_until(last: ObservationRecord, rule: GroupRule, now: datetime) -> datetime | None:
    """Return until when a recording that continues the run may still be sealed."""
    until = last.start + timedelta(seconds=rule.max_gap_s) + (last.end - last.start) + SELECTION_GRACE
    return until if now < until else None


def _chain(run: _Run, rule: GroupRule) -> tuple[list[tuple[ObservationRecord, ...]], tuple[ObservationRecord, ...]]:
    """Return the groups of a run, and the recordings that are in none of them."""
    chain: list[tuple[ObservationRecord, ...]] = []
    records, start, used = run.records, 0, 0
    while used < len(records):
        members = _take(records[start:], rule)
        end = start + len(members)
        if end <= used or len(members) < rule.min_size:
            if end >= len(records):
                break
            start += 1  # the span cut it too short: try from the next one
            continue
        if run.until is not None and len(members) < rule.size and end == len(records):
            break
        chain.append(members)
        used = end
        start = max(end - rule.overlap, start + 1)
    grouped = {item.id for members in chain for item in members}
    return chain, tuple(item for item in records if item.id not in grouped)


def _take(records: Sequence[ObservationRecord], rule: GroupRule) -> tuple[ObservationRecord, ...]:
    span = timedelta(minutes=rule.max_span_min)
    return tuple(item for item in records[: rule.size] if item.start - records[0].start <= span)


def _left_over(run: _Run, rest: Sequence[ObservationRecord], rule: GroupRule) -> str:
    if run.until is not None:
        return f"waits for more: {len(rest)} left of a run that may grow until {stamp(run.until)}"
    size = f"a group needs {rule.min_size} within {rule.max_span_min:g} min"
    return f"{len(rest)} left of a run of {len(run.records)}; {size}, overlap {rule.overlap} included"


def _group(members: Sequence[ObservationRecord], rule: GroupRule) -> ObservationGroup:
    name = f"{rule.survey}-{members[0].start.strftime('%Y%m%dt%H%M%Sz')}"
    spec = GroupSpec(
        pipeline=rule.pipeline,
        observations=Selection(members=tuple(item.id for item in members)),
        publish=rule.publish,
    )
    return ObservationGroup(metadata=Metadata(name=name), spec=spec)
