"""What the keeper knows and the engine decides on."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from contimg.models.base import Model, TaskId, UtcTime
from contimg.models.manifest import AttemptRecord
from contimg.models.observation import ObservationRecord
from contimg.models.quality import Figure, Verdict

__all__ = ["Facts", "GroupRecord", "IngestFact", "RunFact", "TableFact", "TryFact", "UnsealedFact"]


class RunFact(Model):
    """A run that was committed once."""

    task: TaskId
    stage: str
    unit: str
    home: str
    present: bool
    """False: cleaned up or lost; its manifest remains."""
    verdict: Verdict
    figures: tuple[Figure, ...] = ()
    info: dict[str, Any] = Field(default_factory=dict)
    finished: UtcTime
    wall_s: float = 0.0


class TryFact(Model):
    """What is on record of the tries at a task."""

    task: TaskId
    round: int
    """Highest round on record."""
    failed: int = 0
    """Counted failures in that round."""
    lost: int = 0
    """Attempts of that round whose worker was lost."""
    running: bool = False
    """An attempt whose lock is held and was touched lately."""
    final: bool = False
    """The last failure of that round cannot be retried (its class says so) or the tries are used up."""
    last: AttemptRecord | None = None


class TableFact(Model):
    """A solved bandpass that other groups may use."""

    task: TaskId
    group: str
    calibrator: str
    transit: UtcTime
    dec_deg: float
    verdict: Verdict
    present: bool = True


class GroupRecord(Model):
    """``state/groups/<group>.json``: what became of a wish."""

    group: str
    spec_digest: str
    task: TaskId
    """Of the publish run."""
    published: bool
    reason: str = ""
    """Why it was not published."""
    verdict: Verdict
    at: UtcTime
    current: bool = True
    """Whether the published names still point to that run."""
    members: tuple[str, ...] = ()
    object_store: str = ""
    """URL of the object store that holds a copy; empty: only on disk."""


class UnsealedFact(Model):
    """A file set that is still being written."""

    start: UtcTime
    sentence: str


class IngestFact(Model):
    """Where ingest stands."""

    scanned: UtcTime | None = None
    """End of the last full scan."""
    unsealed: tuple[UnsealedFact, ...] = ()


class Facts(Model):
    """Everything the engine may know; from the keeper alone."""

    observations: tuple[ObservationRecord, ...] = ()
    """Final ones, sealed or incomplete, in time order."""
    runs: dict[str, RunFact] = Field(default_factory=dict)
    tries: dict[str, TryFact] = Field(default_factory=dict)
    tables: tuple[TableFact, ...] = ()
    groups: dict[str, GroupRecord] = Field(default_factory=dict)
    """The latest record of each group."""
    ingest: IngestFact = IngestFact()
    reference: dict[str, str] = Field(default_factory=dict)
    """Reference data: ``catalog:<file>`` or ``flags:<date>`` to sha256."""
    bus_full: bool = False
    keeper_silent: bool = False
