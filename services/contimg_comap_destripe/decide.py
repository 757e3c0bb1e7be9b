"""Which maps a group makes. Pure; the engine calls it."""

from __future__ import annotations

from contimg.models.decide import Answer, Choice, Problem
from contimg_comap_destripe.params import DestripeParams

__all__ = ["decide"]


def decide(problem: Problem) -> Answer:
    """Return one choice for each map."""
    maps = problem.parameters(DestripeParams).maps
    return Answer(
        tuple(Choice({"map": place, "expected": problem.expected}, key=_key(place)) for place in range(len(maps)))
    )


def _key(place: int) -> str:
    """Return the key of the map at a place of the list."""
    return f"map{place}"
