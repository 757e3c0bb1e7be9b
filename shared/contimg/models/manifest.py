"""What a committed run says about itself, and what a try at a task left on record."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from contimg.models.base import Model, TaskId, UtcTime
from contimg.models.quality import Figure, Verdict

__all__ = ["AttemptRecord", "AttemptState", "InputRef", "Manifest", "Product", "Usage"]


class Product(Model):
    """A named file or directory of one data type inside a run."""

    type: str
    """Name of its data type."""
    id: str
    """What users call it, e.g. ``20260125t220013z_sum``."""
    path: str
    """Path inside the run directory."""
    names: tuple[str, ...] = ()
    """Paths relative to the home of the data type, which will point at this product."""
    bytes: int = 0
    sha256: str = ""
    """Of the file; of a directory over the sorted lines ``<sha256>  <relative path>``. Filled at commit."""
    role: str = ""
    """Which of several siblings this is, e.g. ``residual``; empty for the main product."""


class InputRef(Model):
    """One input of a run."""

    task: TaskId
    home: str
    """Data type under whose home the input run lies."""
    sha256: str
    """Checksum over the products of the input's manifest."""


class Usage(Model):
    """What an attempt cost, measured by the parent from the operating system's accounts."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    """Largest resident set of the child's process group."""
    written_bytes: int = 0


class Manifest(Model):
    """The last file written into a run; its presence is the commit."""

    schema_version: int = 2
    task: TaskId
    stage: str
    recipe_version: int
    version: str
    """Version of the software that ran."""
    unit: str
    """Observation id, group id or ``<group>.<key>``."""
    group: str
    """The group that asked first; not part of the identity."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    """UTC date of the data, ``YYYY-MM-DD``."""
    params: dict[str, Any]
    """Effective parameters, complete."""
    inputs: tuple[InputRef, ...] = ()
    """In the order of the members."""
    raw: tuple[str, ...] = ()
    raw_digest: str = ""
    observation: str = ""
    """With ``members``, ``calibrators`` and ``options``: what the task was given, so that it can be repeated."""
    members: tuple[str, ...] = ()
    calibrators: tuple[str, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)
    reference: dict[str, str] = Field(default_factory=dict)
    products: tuple[Product, ...]
    figures: tuple[Figure, ...] = ()
    verdict: Verdict = Verdict.PASS
    info: dict[str, Any] = Field(default_factory=dict)
    """Small facts later stages and the engine need (< 64 KB)."""
    software: dict[str, str] = Field(default_factory=dict)
    attempt: int
    host: str
    started: UtcTime
    finished: UtcTime
    usage: Usage = Usage()


class AttemptState(StrEnum):
    """Where a try stands."""

    RUNNING = "running"
    COMMITTED = "committed"
    FAILED = "failed"


class AttemptRecord(Model):
    """One try at a task; ``attempt.json`` in the attempt directory and a copy in ``state/attempts/``."""

    task: TaskId
    number: int
    """1, 2, … in the order of the directories made."""
    round: int = 0
    """``spec.replay`` of the group when it was asked for; tries are counted per round."""
    stage: str
    unit: str
    group: str
    state: AttemptState
    host: str = ""
    pid: int = 0
    started: UtcTime
    finished: UtcTime | None = None
    error: str = ""
    """Class name in ``contimg.errors`` when failed."""
    message: str = ""
    counted: bool = True
    """Whether it uses up one of the tries (WorkerLost does not)."""
    usage: Usage = Usage()
