"""What a stage's pure ``decide`` is asked, and what it answers: which calibration, which model, which partitions.

``decide(problem)`` returns an :class:`Answer`, or a :class:`Block` that says what it waits for. It sees facts only and
never a clock or a disk. The engine freezes what was chosen with the first record of the task.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from contimg.models.fact import Offer, RunFact
from contimg.models.group import ObservationGroup
from contimg.models.observation import ObservationRecord
from contimg.models.reason import Reason
from contimg.models.spec import StageParams

__all__ = ["Answer", "Block", "Choice", "Problem"]

P = TypeVar("P", bound=StageParams)


@dataclass(frozen=True)
class Block:
    """Why something cannot go on."""

    reason: Reason
    message: str
    stalled: bool = False
    """True: nothing in the normal course of events will end it; a person has to."""
    again: datetime | None = None
    """When to look again, if a time ends it."""


@dataclass(frozen=True)
class Problem:
    """What a choice may depend on."""

    group: ObservationGroup
    params: StageParams
    """Effective parameters of the stage."""
    members: tuple[ObservationRecord, ...]
    """Targets that got so far, in time order."""
    calibrators: tuple[ObservationRecord, ...]
    """Recordings of calibrators inside the selection, in time order."""
    expected: int
    """Members selected, those that failed included."""
    infos: dict[str, tuple[RunFact, ...]] = field(default_factory=dict)
    """The runs that the stage reads, by data type, in the order of the members."""
    offers: tuple[Offer, ...] = ()
    """Of other groups, in the windows that ``wants`` named, in time order."""
    recorded: bool = False
    """Whether a task of this stage and group is on record: what it chose should be among the candidates."""
    now: datetime = field(kw_only=True)

    def parameters(self, kind: type[P]) -> P:
        """Return the parameters as the stage's own class.

        Raises
        ------
        TypeError
            If they are of another one.
        """
        if not isinstance(self.params, kind):
            msg = f"these are {type(self.params).__name__}, not {kind.__name__}"
            raise TypeError(msg)
        return self.params


@dataclass(frozen=True)
class Choice:
    """What enters the recipe of one task."""

    options: dict[str, Any] = field(default_factory=dict)
    """Plain JSON values; validated by the stage's ``options``."""
    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Runs beyond those that the pipeline names, by data type: those of other groups' offers."""
    key: str = ""
    """Which partition, for scope partition."""
    released: str = ""
    """Not empty: why it cannot be carried out any more (a chosen input was cleaned up)."""
    degraded: tuple[Reason, str] | None = None
    """What the status says of it."""


@dataclass(frozen=True)
class Answer:
    """A decision."""

    choices: tuple[Choice, ...] = ()
    """What to do now: one choice, or one for each partition."""
    block: Block | None = None
    """What it waits for instead."""
    candidates: tuple[Choice, ...] = ()
    """Everything that could have been decided at another time; the one whose task has the first record is taken."""
