"""The face a stage shows to the machinery, and what the machinery hands to a stage.

A stage is a class with one method, ``run``. It reads its inputs, writes new files below ``context.workdir`` and
says in a :class:`StageResult` which of them are products. It knows nothing of messages, databases or names.
Whatever it raises decides what happens next, by the class of :mod:`contimg.errors`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from contimg.errors import BadInput
from contimg.models.manifest import Manifest, Product
from contimg.models.observation import ObservationRecord
from contimg.models.quality import Figure
from contimg.models.spec import StageOptions, StageParams

__all__ = ["ProductDraft", "Run", "Stage", "StageContext", "StageResult"]

P = TypeVar("P", bound=StageParams)


@dataclass(frozen=True)
class Run:
    """A committed run that a stage reads."""

    path: Path
    """The read-only run directory."""
    manifest: Manifest

    def products(self, type_: str, role: str = "") -> list[Path]:
        """Return the paths of the products of one type and role."""
        return [self.path / p.path for p in self.manifest.products if p.type == type_ and p.role == role]

    def product(self, type_: str, role: str = "") -> Path:
        """Return the path of the one product of this type and role.

        Raises
        ------
        BadInput
            If the run has none or several of them.
        """
        found = self.products(type_, role)
        if len(found) != 1:
            run = f"run {self.manifest.task} of stage {self.manifest.stage}"
            msg = f"{run} has {len(found)} products {type_}/{role}, not 1"
            raise BadInput(msg)
        return found[0]

    def find(self, type_: str, role: str = "") -> Product | None:
        """Return the product record, or None."""
        return next((p for p in self.manifest.products if p.type == type_ and p.role == role), None)


@dataclass(frozen=True)
class ProductDraft:
    """A product as the stage announces it; size and checksum are filled in at the commit."""

    type: str
    """Name of a data type that its stage declares."""
    id: str
    path: str
    """Relative to ``workdir``."""
    names: tuple[str, ...] = ()
    """Relative to the home of the type, e.g. ``2026-01-25/7345.json``."""
    role: str = ""
    """Which sibling it is (``residual``, ``pb``, ``noise``, ``png``); empty for the main product."""


@dataclass(frozen=True)
class StageResult:
    """What a stage made and measured."""

    products: tuple[ProductDraft, ...]
    figures: tuple[Figure, ...] = ()
    info: dict[str, Any] = field(default_factory=dict)
    """JSON values that later stages, the engine or a report need, as the stage's SPEC declares them; < 64 KB."""
    date: str = ""
    """UTC date of the data, ``YYYY-MM-DD``; empty: that of the observation."""


def _no_report(done: int, total: int, what: str) -> None:
    """Discard a progress report (a stage run by hand without a display)."""


def _no_previous() -> Run | None:
    """Know of no earlier run."""


@dataclass(frozen=True)
class StageContext(Generic[P]):
    """What a stage gets: paths and parameters, nothing else."""

    unit: str
    """Observation id for stages of scope observation, group id otherwise (``<group>.<key>`` for a partition)."""
    group: str
    """Id of the group that asked; names of group products use it."""
    date: str
    """UTC date of the data (of a group: of its first member)."""
    params: P
    workdir: Path
    """Empty directory of this attempt; the only place to write to."""
    inputs: dict[str, list[Run]] = field(default_factory=dict)
    """Committed input runs by data type, in the order of the group's members."""
    observation: ObservationRecord | None = None
    """For stages of scope observation."""
    members: tuple[ObservationRecord, ...] = ()
    """For stages of scope group: targets in time order."""
    calibrators: tuple[ObservationRecord, ...] = ()
    """For stages of scope group: calibrator recordings (pointed arrays), in time order."""
    raw: tuple[Path, ...] = ()
    """Raw files of the observation, in the order of the record."""
    reference: dict[str, Path] = field(default_factory=dict)
    """Reference data by name, ``<kind>:<file>``."""
    task: str = ""
    """Id of the task: headers quote it, random numbers are seeded by it."""
    options: Any = field(default_factory=StageOptions)
    """What the group says beyond parameters, or what was decided for it: an instance of the SPEC's ``options``."""
    find_previous: Callable[[], Run | None] = _no_previous
    """See :attr:`previous`."""
    report: Callable[[int, int, str], None] = _no_report
    """``report(done, total, what)``: true counts; also proves that the attempt is alive."""
    log: structlog.stdlib.BoundLogger = field(default_factory=structlog.get_logger)

    @property
    def previous(self) -> Run | None:
        """The run of this stage and unit that their names lead to now, to start from; None: there is none.

        It is no part of the identity of the task and may change no byte of the result.
        """
        return self.find_previous()

    def runs(self, type_: str) -> list[Run]:
        """Return the input runs of one data type; none is an empty list."""
        return self.inputs.get(type_, [])

    def run(self, type_: str) -> Run:
        """Return the one input run of a data type.

        Raises
        ------
        BadInput
            If there is none or there are several.
        """
        found = self.runs(type_)
        if len(found) != 1:
            msg = f"unit {self.unit} has {len(found)} inputs of type {type_}, needs exactly 1"
            raise BadInput(msg)
        return found[0]


class Stage(ABC, Generic[P]):
    """One step of a pipeline."""

    @abstractmethod
    def run(self, context: StageContext[P]) -> StageResult:
        """Turn inputs into new files below ``context.workdir``.

        Raises
        ------
        contimg.errors.ContimgError
            The class decides what happens next; anything else counts as ``Terminal`` after one more try.
        """

    @staticmethod
    def warm_up() -> None:
        """Import and compile what every attempt needs; called once in a fresh child. Default: nothing."""
