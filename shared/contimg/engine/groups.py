"""Groups formed from what arrives, by a survey's rule, in true order (P11)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contimg.engine.words import incompleteness, stamp
from contimg.limits import ProtocolLimits
from contimg.models.fact import IngestFact
from contimg.models.group import GroupSpec, ObservationGroup, Selection
from contimg.models.observation import ObservationRecord, ObservationState, Role
from contimg.models.resource import Metadata
from contimg.models.survey import GroupRules, Left, Survey

__all__ = ["LABEL", "Formed", "Ungrouped", "form_groups", "is_formed_by", "last_formed", "reach"]

LABEL = "contimg.dsa110.org/survey"
"""Label of a group that a survey formed; its value is the survey's name."""
LATELY = 10
"""Recordings of a run whose mean declination the next one is compared with."""
_STAMP = "%Y%m%dt%H%M%Sz"
Records = tuple[ObservationRecord, ...]


@dataclass(frozen=True)
class Ungrouped:
    """A recording that no group has, with the reason in a sentence."""

    observation: str
    kind: Left
    reason: str


@dataclass(frozen=True)
class Formed:
    """Every recording that was given is in a group, formed now or before, or in ``ungrouped``."""

    groups: tuple[ObservationGroup, ...]
    """New ones."""
    ungrouped: tuple[Ungrouped, ...]
    look_again: datetime | None = None
    """When the last run ends unless something comes; None: only what arrives changes something."""


@dataclass(frozen=True)
class _Run:
    """Recordings that follow each other at one declination."""

    records: Records
    until: datetime | None = None
    """When it ends if nothing comes; None: it has ended, or something that is still being written decides."""
    waits: str = ""
    """What it may grow by; empty: it has ended."""


def form_groups(
    observations: Iterable[ObservationRecord],
    survey: Survey,
    formed: Sequence[ObservationGroup],
    ingest: IngestFact,
    now: datetime,
    limits: ProtocolLimits | None = None,
) -> Formed:
    """Form the next groups in time order; what was formed stays, and the chain goes on from it.

    A run breaks where the next recording starts more than ``maxGap`` after the last one, or lies more than
    ``decTolerance`` from the mean of the run's last ten recordings. Inside a run each group takes the last
    ``overlap`` members of the one before and the next ones up to ``size``, and never spans more than ``maxSpan`` from
    first to last start. What is left when the run has ended is a shorter tail group if that has ``minSize`` members.

    Nothing is formed past the earliest file set that is still being written: it may belong before what is there.

    Parameters
    ----------
    observations
        Final ones of the survey's instrument in any order, from :func:`reach` on at least; incomplete ones and
        calibrator recordings are listed as ungrouped.
    survey
        The standing order; recordings before its ``start`` are left alone.
    formed
        The groups that it has formed so far, with their members.
    ingest
        What is still being written; before the first full scan nothing is formed.
    now
        Decides whether the last run can still grow.
    limits
        How long a run may still grow; None: those of the architecture.
    """
    start = survey.spec.start
    given = {item.id: item for item in observations if start is None or item.start >= start}
    records = sorted(given.values(), key=_order)
    taken = {name for group in formed for name in group.spec.observations.members}
    left = [_spoilt(item) for item in records if _unusable(item) and item.id not in taken]
    usable = [item for item in records if not _unusable(item)]
    if ingest.scanned is None:
        return Formed((), (*left, *_each(_free(usable, taken), "waits for the first full scan of incoming/")))
    head = _head(formed, usable)
    free = _free(usable, taken)
    if formed and not head:
        return Formed((), (*left, *_each(free, f"waits for the records of {_named(formed)}, the group before")))
    late = [item for item in free if head and _order(item) < _order(head[-1])]
    horizon = _horizon(ingest, start)
    ahead = free[len(late) :]
    settled = [item for item in ahead if horizon is None or item.start < horizon]
    left += _each(late, _LATE, Left.LATE)
    if horizon is not None:
        beyond = f"waits for the file set of {stamp(horizon)}, which is still being written"
        left += _each(ahead[len(settled) :], beyond)
    return _form(_Line(survey, head, settled, horizon, now, limits or ProtocolLimits()), {g.name for g in formed}, left)


_LATE = "no group was left to take it: the groups around it were formed before it came, or its run was too short"


@dataclass(frozen=True)
class _Line:
    """What groups are formed from: where the chain stands, and what follows in order."""

    survey: Survey
    head: Records
    """Members of the last group formed; empty: none yet."""
    settled: Sequence[ObservationRecord]
    """Usable recordings after it whose order is certain."""
    horizon: datetime | None
    """Start of the earliest file set that is still being written."""
    now: datetime
    limits: ProtocolLimits

    @property
    def rules(self) -> GroupRules:
        return self.survey.spec.groups


def _order(record: ObservationRecord) -> tuple[datetime, str]:
    return record.start, record.id


def _free(records: Iterable[ObservationRecord], taken: Collection[str]) -> list[ObservationRecord]:
    return [item for item in records if item.id not in taken]


def _each(records: Iterable[ObservationRecord], reason: str, kind: Left = Left.WAITING) -> list[Ungrouped]:
    return [Ungrouped(item.id, kind, reason) for item in records]


def _spoilt(record: ObservationRecord) -> Ungrouped:
    kind = Left.INCOMPLETE if record.state is ObservationState.INCOMPLETE else Left.NO_TARGET
    return Ungrouped(record.id, kind, _unusable(record))


def _horizon(ingest: IngestFact, start: datetime | None) -> datetime | None:
    unsealed = [item.start for item in ingest.unsealed if start is None or item.start >= start]
    return min(unsealed, default=None)


def _head(formed: Sequence[ObservationGroup], records: Sequence[ObservationRecord]) -> Records:
    """Return the known members of the group formed last."""
    last = last_formed(formed)
    named = set(last.spec.observations.members) if last is not None else set()
    return tuple(item for item in records if item.id in named)


def _named(formed: Sequence[ObservationGroup]) -> str:
    last = last_formed(formed)
    return last.name if last is not None else ""


def is_formed_by(survey: str, group: ObservationGroup) -> bool:
    """Say whether a group has a name that this survey gives; a copy under a name of its own is the user's."""
    return re.fullmatch(rf"{re.escape(survey)}-\d{{8}}t\d{{6}}z", group.name) is not None


def last_formed(formed: Iterable[ObservationGroup]) -> ObservationGroup | None:
    """Return the group whose first member is the latest; names of a survey's groups end with that time."""
    return max(formed, key=lambda group: group.name[-len("20260125t222600z") :], default=None)


def reach(survey: Survey, formed: Iterable[ObservationGroup]) -> datetime | None:
    """Return from when on :func:`form_groups` must know the observations; None: from the first."""
    last = last_formed(formed)
    if last is None:
        return survey.spec.start
    return datetime.strptime(last.name[-len("20260125t222600z") :], _STAMP).replace(tzinfo=UTC)


def _unusable(record: ObservationRecord) -> str:
    if record.state is ObservationState.INCOMPLETE:
        return incompleteness(record)
    return "" if record.role is Role.TARGET else f"a {record.role.value} calibrator recording, no target"


def _form(line: _Line, names: set[str], left: list[Ungrouped]) -> Formed:
    groups: list[ObservationGroup] = []
    again = None
    for number, run in enumerate(_runs(line)):
        first = len(line.head) if number == 0 else 0
        chain, rest = _chain(run, line.rules, first, names, line.survey.name)
        groups += [_group(members, line.survey) for members in chain]
        left += _each(rest, _left_over(run, rest, line.rules), Left.WAITING if run.waits else Left.TOO_FEW)
        again = run.until if rest and run.until is not None else again
    return Formed(tuple(groups), tuple(sorted(left, key=lambda item: item.observation)), again)


def _runs(line: _Line) -> list[_Run]:
    """Cut what follows into runs; the first one begins with the last group, also when nothing continues it."""
    found: list[list[ObservationRecord]] = [list(line.head)]
    for item in line.settled:
        if found[-1] and not _continues(found[-1], item, line.rules):
            found.append([])
        found[-1].append(item)
    ended = [_Run(tuple(run)) for run in found[:-1]]
    return [*ended, _last_run(found[-1], line)] if found[-1] else ended


def _continues(run: Sequence[ObservationRecord], item: ObservationRecord, rules: GroupRules) -> bool:
    lately = run[-LATELY:]
    mean = sum(member.dec_deg for member in lately) / len(lately)
    near = round(abs(item.dec_deg - mean), 6) <= rules.dec_tolerance_deg
    return near and item.start - run[-1].start <= timedelta(seconds=rules.max_gap_s)


def _last_run(run: Sequence[ObservationRecord], line: _Line) -> _Run:
    """Return the last run with what it may still grow by."""
    last, gap = run[-1], timedelta(seconds=line.rules.max_gap_s)
    if line.horizon is not None and line.horizon - last.start <= gap:
        return _Run(tuple(run), None, f"the file set of {stamp(line.horizon)}, which is still being written")
    until = last.start + gap + (last.end - last.start) + timedelta(seconds=line.limits.closed_after_s)
    return _Run(tuple(run), until, f"more until {stamp(until)}") if line.now < until else _Run(tuple(run))


def _chain(run: _Run, rules: GroupRules, formed: int, names: set[str], survey: str) -> tuple[list[Records], Records]:
    """Return the groups of a run, and the recordings that are in none of them.

    The first ``formed`` recordings are members of the group before; ``names`` are taken, and grow.
    """
    chain: list[Records] = []
    records, used = run.records, formed
    start = max(formed - rules.overlap, 1) if formed else 0
    while used < len(records):
        members = _take(records[start : start + rules.size], rules)
        end = start + len(members)
        if end <= used or len(members) < rules.min_size or _name(survey, members) in names:
            if end >= len(records):
                break
            start += 1  # the span cut it too short: try from the next one
            continue
        if run.waits and len(members) < rules.size and end == len(records):
            break
        chain.append(members)
        names.add(_name(survey, members))
        used, start = end, max(end - rules.overlap, start + 1)
    grouped = {item.id for members in chain for item in members}
    return chain, tuple(item for item in records[formed:] if item.id not in grouped)


def _take(records: Sequence[ObservationRecord], rules: GroupRules) -> Records:
    span = timedelta(minutes=rules.max_span_min)
    return tuple(item for item in records if item.start - records[0].start <= span)


def _left_over(run: _Run, rest: Sequence[ObservationRecord], rules: GroupRules) -> str:
    if run.waits:
        return f"{len(rest)} left of a run that waits for {run.waits}"
    size = f"a group needs {rules.min_size} within {rules.max_span_min:g} min"
    return f"{len(rest)} left of a run of {len(run.records)}; {size}, overlap {rules.overlap} included"


def _name(survey: str, members: Records) -> str:
    return f"{survey}-{members[0].start.strftime(_STAMP)}"


def _group(members: Records, survey: Survey) -> ObservationGroup:
    template = survey.spec.template
    least = None if template.min_members is None else min(template.min_members, len(members))
    spec = GroupSpec(
        pipeline=survey.spec.pipeline,
        observations=Selection(members=tuple(item.id for item in members)),
        calibrator=template.calibrator,
        stages=template.stages,
        publish=survey.spec.publish,
        min_members=least,
        shard=survey.spec.shard,
    )
    return ObservationGroup(metadata=Metadata(name=_name(survey.name, members), labels={LABEL: survey.name}), spec=spec)
