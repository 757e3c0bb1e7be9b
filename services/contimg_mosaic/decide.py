"""What a group says to stage mosaic beyond parameters. Pure; the engine calls it."""

from __future__ import annotations

from contimg.models.decide import Answer, Choice, Problem

__all__ = ["decide"]


def decide(problem: Problem) -> Answer:
    """Tell how many members were selected: some of them may have failed."""
    return Answer((Choice({"expected": problem.expected}),))
