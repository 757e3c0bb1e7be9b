"""Which bandpass a group uses: the rules (a) to (e) of contracts.md, stage 4."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from contimg.engine.selection import Block, stamp
from contimg.models.fact import Facts, GroupRecord, TableFact
from contimg.models.group import ObservationGroup
from contimg.models.observation import CalibratorTransit, ObservationRecord
from contimg.models.quality import Verdict

__all__ = ["Choice", "Problem", "choose", "first_record"]

NEAREST = timedelta(hours=24)
"""(b) How far from its transit a bandpass is as good as new; the limit itself counts."""
BORROWED = timedelta(days=30)
"""(d) How far it may be borrowed, with verdict degraded."""
SAME_DEC_DEG = 1.0
"""Largest difference in declination; the limit itself counts."""
AFTER_TRANSIT = timedelta(minutes=30)
"""(c) How long after a predicted transit its table is waited for."""


@dataclass(frozen=True)
class Choice:
    """A calibration: what enters the recipe of stage solve."""

    options: dict[str, Any]
    """``{"mode": "own" | "nearest" | "borrowed" | "scans", "calibrator": …, "member" | "transit": …}``."""
    table: str = ""
    """Task id of the solve run whose bandpass is copied, for ``nearest`` and ``borrowed``."""
    present: bool = True
    """Whether that run is still on staging."""
    calibrator: str = field(default="", compare=False)


@dataclass(frozen=True)
class Problem:
    """What the choice depends on."""

    group: ObservationGroup
    members: tuple[ObservationRecord, ...]
    """Converted ones, in time order."""
    facts: Facts
    now: datetime

    @property
    def middle(self) -> datetime:
        """Mid-time of the group."""
        first, last = self.members[0].start, max(item.end for item in self.members)
        return first + (last - first) / 2

    @property
    def dec_deg(self) -> float:
        """Mean declination of the members, in degrees."""
        return sum(item.dec_deg for item in self.members) / len(self.members)

    def allows(self, calibrator: str) -> bool:
        """Whether ``spec.calibrator`` admits this one."""
        return self.group.spec.calibrator in ("auto", calibrator)


def choose(problem: Problem, identify: Callable[[Choice], str]) -> Choice | Block:
    """Return the calibration of a drift-scan group, or what it waits for.

    The choice of the group's first solve record stands: a better table that appears later changes nothing until
    ``spec.reprocess`` is raised, after which only records younger than the group's last publication count.

    Parameters
    ----------
    problem
        Members, tables and time.
    identify
        Gives the task id that stage solve would have with a choice.
    """
    fresh = _fresh(problem)
    records = _records(problem)
    if not records:
        return fresh
    frozen = {identify(item): item for item in _candidates(problem)}
    first = sorted((at, task) for task, at in records.items() if task in frozen)
    return frozen[first[0][1]] if first else fresh


def first_record(facts: Facts, task: str) -> datetime | None:
    """Return when a task was first heard of: the end of its run, else the start of its last try."""
    if task in facts.runs:
        return facts.runs[task].finished
    tried = facts.tries.get(task)
    return tried.last.started if tried is not None and tried.last is not None else None


def _records(problem: Problem) -> dict[str, datetime]:
    """Return the group's solve tasks on record that freeze the choice."""
    facts, name = problem.facts, problem.group.name
    tasks = {fact.task for fact in facts.runs.values() if fact.stage == "solve" and fact.unit == name}
    last = [(fact.task, fact.last) for fact in facts.tries.values() if fact.last is not None]
    tasks |= {task for task, record in last if record.stage == "solve" and record.unit == name}
    times = {task: first_record(facts, task) for task in tasks}
    since = _reopened(facts.groups.get(name), problem.group)
    return {task: at for task, at in times.items() if at is not None and (since is None or at > since)}


def _reopened(record: GroupRecord | None, group: ObservationGroup) -> datetime | None:
    return record.at if record is not None and group.spec.reprocess > 0 else None


def _fresh(problem: Problem) -> Choice | Block:
    own = _own(problem)
    if own:
        return own[0]
    usable = [item for item in _tables(problem) if item.present and item.verdict is not Verdict.FAILED]
    near = [item for item in usable if _distance(problem, item) <= NEAREST]
    if near:
        return _copied(problem, near[0])
    return _wait(problem) or (_copied(problem, usable[0]) if usable else _nothing(problem))


def _candidates(problem: Problem) -> Iterable[Choice]:
    return [*_own(problem), *(_copied(problem, item) for item in _tables(problem))]


def _own(problem: Problem) -> list[Choice]:
    """Return a choice (a) for each calibrator that crosses a member, the brightest through the beam first."""
    seen = [(item, member.id) for member in problem.members for item in member.calibrators if problem.allows(item.name)]
    seen.sort(key=lambda pair: (-pair[0].apparent_flux_jy, pair[0].transit, pair[0].name, pair[1]))
    return [
        Choice({"mode": "own", "calibrator": item.name, "member": member}, calibrator=item.name)
        for item, member in seen
    ]


def _tables(problem: Problem) -> list[TableFact]:
    """Return the tables (b, d) of other groups within reach, the nearest in time first."""
    middle_dec = problem.dec_deg
    found = {
        item.task: item
        for item in problem.facts.tables
        if item.group != problem.group.name
        and problem.allows(item.calibrator)
        and round(abs(item.dec_deg - middle_dec), 6) <= SAME_DEC_DEG
        and _distance(problem, item) <= BORROWED
    }
    return sorted(found.values(), key=lambda item: (_distance(problem, item), item.transit, item.calibrator, item.task))


def _distance(problem: Problem, table: TableFact) -> timedelta:
    return abs(table.transit - problem.middle)


def _copied(problem: Problem, table: TableFact) -> Choice:
    mode = "nearest" if _distance(problem, table) <= NEAREST else "borrowed"
    options = {"mode": mode, "calibrator": table.calibrator, "transit": stamp(table.transit)}
    return Choice(options, table=table.task, present=table.present, calibrator=table.calibrator)


def _wait(problem: Problem) -> Block | None:
    """Return the wait (c) for the next transit whose table would be near enough."""
    transits = {
        (item.transit, item.name): item for member in problem.members for item in _coming(problem, member.next_transits)
    }
    if not transits:
        return None
    item = transits[min(transits)]
    until = item.transit + AFTER_TRANSIT
    text = (
        f"no bandpass within 24 h and 1 deg of declination; waiting until {stamp(until)} for one from "
        f"calibrator {item.name}, which transits at {stamp(item.transit)} UTC"
    )
    return Block("WaitingForTransit", text, again=until)


def _coming(problem: Problem, transits: Sequence[CalibratorTransit]) -> list[CalibratorTransit]:
    return [
        item
        for item in transits
        if problem.allows(item.name)
        and abs(item.transit - problem.middle) <= NEAREST
        and problem.now < item.transit + AFTER_TRANSIT
    ]


def _nothing(problem: Problem) -> Block:
    wanted = problem.group.spec.calibrator
    which = "" if wanted == "auto" else f" of calibrator {wanted}"
    text = (
        f"no bandpass{which} within 30 d of {stamp(problem.middle)} and 1 deg of declination {problem.dec_deg:.2f}, "
        "and no calibrator crosses a member; process a group that holds a calibrator transit"
    )
    return Block("NoCalibration", text if wanted == "auto" else f"{text}, or set spec.calibrator to auto", stalled=True)
