"""Which bandpass a group uses: the rules (a) to (e) of contracts.md, stage 4. Pure; the engine calls it.

How near a bandpass must be stands in the parameters alone (24 h, 30 d, 1 degree), which the stage judges by too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from contimg.models.decide import Answer, Block, Choice, Problem
from contimg.models.fact import Offer, OfferWindow
from contimg.models.observation import CalibratorTransit
from contimg.models.quality import Verdict
from contimg.models.reason import Reason
from contimg_solve.params import SolveParams

__all__ = ["AFTER_TRANSIT", "decide", "wants"]

AFTER_TRANSIT = timedelta(minutes=30)
"""(c) How long after a predicted transit its table is waited for."""
_HOME, _STAGE = "calibration_table", "solve"


class _Rules:
    """The problem with what follows from it."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.params = problem.parameters(SolveParams)
        members = problem.members
        first, last = members[0].start, max(item.end for item in members)
        self.middle = first + (last - first) / 2
        self.dec_deg = sum(item.dec_deg for item in members) / len(members)
        self.near = timedelta(hours=self.params.bandpass_window_h)
        """(b) How far from its transit a bandpass is as good as new; the limit itself counts."""
        self.far = timedelta(days=self.params.borrowed_window_d)
        """(d) How far it may be borrowed, with verdict degraded."""
        self.same_dec_deg = self.params.bandpass_max_dec_offset_deg
        """Largest difference in apparent declination; the limit itself counts."""

    def allows(self, calibrator: str) -> bool:
        """Whether ``spec.calibrator`` admits this one."""
        return self.problem.group.spec.calibrator in {"auto", calibrator}

    def distance(self, offer: Offer) -> timedelta:
        return abs(offer.at - self.middle)

    def own(self) -> list[Choice]:
        """Return a choice (a) for each calibrator that crosses a member, the brightest through the beam first."""
        seen = [(item, one.id) for one in self.problem.members for item in one.calibrators if self.allows(item.name)]
        seen.sort(key=lambda pair: (-pair[0].apparent_flux_jy, pair[0].transit, pair[0].name, pair[1]))
        return [_chosen({"mode": "own", "calibrator": item.name, "member": member}) for item, member in seen]

    def tables(self) -> list[Offer]:
        """Return the bandpasses (b, d) of other groups within reach, the nearest in time first."""
        found = [
            item
            for item in self.problem.offers
            if item.stage == _STAGE
            and self.allows(item.key)
            and round(abs(item.position_deg - self.dec_deg), 6) <= self.same_dec_deg
            and self.distance(item) <= self.far
        ]
        return sorted(found, key=lambda item: (self.distance(item), item.at, item.key, item.task))

    def usable(self) -> list[Offer]:
        return [item for item in self.tables() if item.present and item.verdict is not Verdict.FAILED]

    def copied(self, table: Offer) -> Choice:
        """Return the choice of another group's bandpass."""
        near = self.distance(table) <= self.near
        calibration = {"mode": "nearest" if near else "borrowed", "calibrator": table.key, "transit": _stamp(table.at)}
        choice = _chosen(calibration)
        released = "" if table.present else f"the bandpass of run {table.task} was cleaned up; raise spec.reprocess"
        told = f"bandpass borrowed from {table.key} at {_stamp(table.at)} UTC"
        degraded = None if near else (Reason.BORROWED_CALIBRATION, told)
        return Choice(choice.options, {_HOME: (table.task,)}, released=released, degraded=degraded)


def decide(problem: Problem) -> Answer:
    """Return the calibration of a group, or what it waits for."""
    if not problem.members:
        return Answer(block=Block(Reason.NO_CALIBRATION, "no member is left to calibrate", stalled=True))
    rules = _Rules(problem)
    if rules.params.strategy == "calibrator-scans":
        wanted = problem.group.spec.calibrator
        named = {} if wanted == "auto" else {"calibrator": wanted}
        return Answer((_chosen({"mode": "scans", **named}),))
    fresh = _fresh(rules)
    candidates = (*rules.own(), *(rules.copied(item) for item in rules.tables()))
    return Answer((), fresh, candidates) if isinstance(fresh, Block) else Answer((fresh,), None, candidates)


def wants(problem: Problem) -> tuple[OfferWindow, ...]:
    """Return the window of bandpasses that :func:`decide` must know: the near one, and the far one when it is needed.

    With an own calibrator none is needed; a choice that is on record may be any within reach.
    """
    if not problem.members or problem.parameters(SolveParams).strategy == "calibrator-scans":
        return ()
    rules = _Rules(problem)
    if problem.recorded:
        return (_window(rules, rules.far),)
    if rules.own():
        return ()
    near = any(rules.distance(item) <= rules.near for item in rules.usable())
    return (_window(rules, rules.near), *(() if near else (_window(rules, rules.far),)))


def _window(rules: _Rules, reach: timedelta) -> OfferWindow:
    low, high = rules.dec_deg - rules.same_dec_deg, rules.dec_deg + rules.same_dec_deg
    slack = 1e-5
    return OfferWindow(
        stage=_STAGE,
        start=rules.middle - reach,
        end=rules.middle + reach,
        low_deg=round(low - slack, 6),
        high_deg=round(high + slack, 6),
    )


def _chosen(calibration: dict[str, str]) -> Choice:
    return Choice({"calibration": calibration})


def _fresh(rules: _Rules) -> Choice | Block:
    own = rules.own()
    if own:
        return own[0]
    usable = rules.usable()
    if usable and rules.distance(usable[0]) <= rules.near:
        return rules.copied(usable[0])
    return _wait(rules) or (rules.copied(usable[0]) if usable else _nothing(rules))


def _wait(rules: _Rules) -> Block | None:
    """Return the wait (c) for the next transit whose table would be near enough."""
    members = rules.problem.members
    coming = {(i.transit, i.name): i for one in members for i in _coming(rules, one.next_transits)}
    if not coming:
        return None
    item = coming[min(coming)]
    until = item.transit + AFTER_TRANSIT
    text = (
        f"no bandpass within {rules.params.bandpass_window_h:g} h and {rules.same_dec_deg:g} deg of declination; "
        f"waiting until {_stamp(until)} for one from {item.name}, which transits at {_stamp(item.transit)} UTC"
    )
    return Block(Reason.WAITING_FOR_TRANSIT, text, again=until)


def _coming(rules: _Rules, transits: Sequence[CalibratorTransit]) -> Iterable[CalibratorTransit]:
    return [
        item
        for item in transits
        if rules.allows(item.name)
        and abs(item.transit - rules.middle) <= rules.near
        and rules.problem.now < item.transit + AFTER_TRANSIT
    ]


def _nothing(rules: _Rules) -> Block:
    wanted = rules.problem.group.spec.calibrator
    which = "" if wanted == "auto" else f" of calibrator {wanted}"
    text = (
        f"no bandpass{which} within {rules.params.borrowed_window_d:g} d of {_stamp(rules.middle)} and "
        f"{rules.same_dec_deg:g} deg of declination {rules.dec_deg:.2f}, and no calibrator crosses a member; process a "
        "group that holds a calibrator transit"
    )
    told = text if wanted == "auto" else f"{text}, or set spec.calibrator to auto"
    return Block(Reason.NO_CALIBRATION, told, stalled=True)


def _stamp(time: datetime) -> str:
    """Return a UTC time to the nearest second."""
    return (time + timedelta(seconds=0.5)).strftime("%Y-%m-%dT%H:%M:%S")
