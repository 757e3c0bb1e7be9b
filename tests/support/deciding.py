"""Decisions for tests of the engine, found by path as those of installed stages are."""

from __future__ import annotations

from datetime import timedelta

from contimg.models.decide import Answer, Block, Choice, Problem
from contimg.models.fact import OfferWindow
from contimg.models.reason import Reason


def halves(problem: Problem) -> Answer:
    """Part the members in two."""
    half = len(problem.members) // 2
    return Answer((Choice({"first": 0, "last": half}, key="low"), Choice({"first": half, "last": 0}, key="high")))


def versions(problem: Problem) -> Answer:
    """Choose the newer of two versions for each key when fewer members suffice; the other stays a candidate."""
    older, newer = ([Choice({"version": v}, key=key) for key in ("a", "b")] for v in (1, 2))
    chosen = newer if problem.group.spec.min_members else older
    return Answer(tuple(chosen), None, (*older, *newer))


def nothing(problem: Problem) -> Answer:
    """Decide on nothing."""
    del problem
    return Answer()


def broken(problem: Problem) -> Answer:
    """Fail as a bug in a stage would."""
    raise ZeroDivisionError(f"of {problem.group.name}")


def unnameable(problem: Problem) -> Answer:
    """Choose something that has no identity."""
    return Answer((Choice({"at": problem.now}),))


def patient(problem: Problem) -> Answer:
    """Wait."""
    return Answer(block=Block(Reason.WAITING_FOR_CHOICE, "no model yet", again=problem.now + timedelta(hours=1)))


def by_level(problem: Problem) -> Answer:
    """Look at what the runs that are read say."""
    levels = [run.info["level"] for run in problem.infos["raw_ms"]]
    return Answer((Choice({"level": max(levels)}),))


def window(problem: Problem) -> tuple[OfferWindow, ...]:
    """Ask for what others offered in the day before, then for the week if there is nothing."""
    at = problem.members[0].start
    day = OfferWindow(stage="solve", start=at - timedelta(days=1), end=at)
    week = OfferWindow(stage="solve", start=at - timedelta(days=7), end=at)
    return (day,) if problem.offers else (day, week)


def broken_window(problem: Problem) -> tuple[OfferWindow, ...]:
    """Fail as a bug in a stage would."""
    raise ZeroDivisionError(f"of {problem.group.name}")
