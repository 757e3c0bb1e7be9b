"""One task of a group in the engine's eyes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from contimg.engine.plan import Recipe, StagePlan
from contimg.models.decide import Block, Choice
from contimg.models.fact import RunFact

__all__ = ["BAD", "FINAL", "USABLE", "Node", "State"]


class State(StrEnum):
    """Where one task stands."""

    DONE = "done"
    RELEASED = "released"
    """Was committed; its files were cleaned up or damaged."""
    RUNNING = "running"
    OPEN = "open"
    """Its recipe is known, its run does not exist."""
    PENDING = "pending"
    """Its recipe is not known yet: something before it is not final, or has to be chosen."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Something before it failed."""


USABLE = (State.DONE, State.RELEASED)
FINAL = (*USABLE, State.FAILED, State.SKIPPED)
BAD = (State.FAILED, State.SKIPPED)


@dataclass(frozen=True)
class Node:
    """One task, or the place of one whose recipe is not known yet."""

    plan: StagePlan
    unit: str
    state: State
    recipe: Recipe | None = None
    reads: tuple[Node, ...] = ()
    """What it needs before it can run."""
    run: RunFact | None = None
    block: Block | None = None
    """Why it cannot go on, beyond what it reads."""
    error: str = ""
    """Class of the failure, of the one that began it when skipped."""
    message: str = ""
    """Of the failure; of a damaged run, what is wrong with it; of an open task, why no worker has begun it."""
    cause: Node | None = None
    """The node whose failure began it, when skipped."""
    choice: Choice | None = None
    """What was decided for it."""
