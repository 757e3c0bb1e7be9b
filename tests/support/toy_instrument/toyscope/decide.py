"""Which weight a group uses, and how its counts are parted: pure functions that the engine calls."""

from __future__ import annotations

from datetime import timedelta

from contimg.models.decide import Answer, Block, Choice, Problem
from contimg.models.fact import Offer, OfferWindow
from contimg.models.reason import Reason
from toyscope.params import SliceParams, WeighParams


def weigh(problem: Problem) -> Answer:
    """Use the group's own recording of the standard, else the nearest weight of another group."""
    own = [_own(item.id) for item in problem.members if item.source == "standard"]
    taken = [_taken(item) for item in sorted(problem.offers, key=lambda item: abs(item.at - _start(problem)))]
    candidates = (*own, *taken)
    if not candidates:
        text = "no weight within reach; process a group that holds a recording of the standard"
        return Answer(block=Block(Reason.WAITING_FOR_CHOICE, text))
    return Answer(candidates[:1], None, candidates)


def wants(problem: Problem) -> tuple[OfferWindow, ...]:
    """Ask for the weights of other groups within the window."""
    reach = timedelta(days=problem.parameters(WeighParams).window_d)
    return (OfferWindow(stage="weigh", start=_start(problem) - reach, end=_start(problem) + reach),)


def parts(problem: Problem) -> Answer:
    """Return one choice for each part."""
    count = problem.parameters(SliceParams).parts
    return Answer(tuple(Choice({"part": part}, key=f"part{part}") for part in range(count)))


def _start(problem: Problem):
    return problem.members[0].start


def _own(member: str) -> Choice:
    return Choice({"mode": "own", "standard": member})


def _taken(offer: Offer) -> Choice:
    released = "" if offer.present else f"the weight of run {offer.task} was cleaned up; raise spec.reprocess"
    return Choice({"mode": "taken"}, {"toy_weight": (offer.task,)}, released=released)
