"""What the keeper knows and the engine decides on: the facts of one group, and the question for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from contimg.limits import FIRST_YEAR, LAST_YEAR
from contimg.models.base import Model, ObservationId, TaskId, UtcTime
from contimg.models.manifest import AttemptRecord
from contimg.models.observation import ObservationRecord
from contimg.models.quality import Figure, Verdict

__all__ = [
    "Facts",
    "GroupRecord",
    "IngestFact",
    "Needs",
    "Offer",
    "OfferKey",
    "OfferWindow",
    "RunFact",
    "TryFact",
    "UnsealedFact",
]


class RunFact(Model):
    """A run that was committed once."""

    task: TaskId
    stage: str
    unit: str
    group: str = ""
    """The group that asked first."""
    home: str
    present: bool
    """False: cleaned up or lost; its manifest remains."""
    damaged: str = ""
    """What is wrong with the run on staging, in a sentence; it then counts as not present."""
    verdict: Verdict
    figures: tuple[Figure, ...] = ()
    """Those that did not pass."""
    info: dict[str, Any] = Field(default_factory=dict)
    """What the run says to others; typed by the stage's SPEC."""
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
    """The task is given up in that round (``contimg.models.attempts.given_up``)."""
    first: UtcTime | None = None
    """Start of the first attempt of all rounds."""
    last: AttemptRecord | None = None
    waits: str = ""
    """Why a worker that has the task has not begun it, in a sentence."""


class OfferKey(Model):
    """What a run offers to other groups, as its info says (``StageInfo.offer``)."""

    key: str
    """Which of several, e.g. the name of a source."""
    at: UtcTime
    """The time it is good for."""
    position_deg: Annotated[float, Field(ge=-360, le=360)] = 0.0
    """The place it is good for, on the one axis that the stage means, in degrees."""
    valid_s: Annotated[float, Field(ge=0)] = 0.0
    """For so long before and after it is as good as new."""


class Offer(OfferKey):
    """A run of some group that others may use."""

    task: TaskId
    stage: str
    group: str
    verdict: Verdict
    present: bool = True


def _in_bounds(value: Any) -> Any:
    """Move the edge of a window to where recordings begin or end: nothing lies beyond."""
    if not isinstance(value, datetime):
        return value
    first, last = datetime(FIRST_YEAR + 1, 1, 1, tzinfo=UTC), datetime(LAST_YEAR - 1, 12, 31, 23, 59, 59, tzinfo=UTC)
    return min(max(value, first), last)


EdgeTime = Annotated[UtcTime, BeforeValidator(_in_bounds)]


class OfferWindow(Model):
    """Which offers are asked for: those of a stage with ``at`` in [start, end] and the position in [low, high]."""

    stage: str
    start: EdgeTime
    end: EdgeTime
    low_deg: float = -360.0
    high_deg: float = 360.0


class Needs(Model):
    """One question about one group; every part may be empty."""

    group: str
    start: UtcTime | None = None
    """Observations that start at or after."""
    end: UtcTime | None = None
    """… before this, and the first final one that starts at or after it: it closes a selection."""
    count: Annotated[int, Field(ge=1)] | None = None
    """So many target observations from ``start`` (and what was recorded between them)."""
    instrument: str = ""
    """Only observations of this one; empty: of all."""
    ids: tuple[ObservationId, ...] = ()
    """Observations by name."""
    tasks: tuple[TaskId, ...] = ()
    """Runs and tries of these."""
    units: tuple[tuple[str, str], ...] = ()
    """(stage, unit): every run and try on record, for choices that the first one freezes."""
    offers: tuple[OfferWindow, ...] = ()
    after: str = ""
    """Go on with the page after this key."""


class GroupRecord(Model):
    """``state/groups/<group>.json``: what became of a wish."""

    group: str
    spec_digest: str
    task: TaskId
    """Of the run of the last stage."""
    published: bool
    policy: str = ""
    """The policy by which that was decided."""
    reason: str = ""
    """Why it was not published."""
    verdict: Verdict
    at: UtcTime
    current: bool = True
    """Whether the published names still point to that run."""
    members: tuple[ObservationId, ...] = ()
    object_store: str = ""
    """URL of the object store that holds a copy; empty: only on disk."""


class UnsealedFact(Model):
    """A file set that is still being written."""

    start: UtcTime
    sentence: str
    instrument: str = ""
    id: str = ""
    """The id that its observation will have, as far as its instrument can tell."""


class IngestFact(Model):
    """``state/ingest.json``: where the watcher of arrivals stands."""

    scanned: UtcTime | None = None
    """End of the last full scan."""
    unsealed: tuple[UnsealedFact, ...] = ()
    problems: tuple[str, ...] = ()
    """What it could not do, in sentences."""


class Facts(Model):
    """What the engine may know of one group; from the keeper alone."""

    observations: tuple[ObservationRecord, ...] = ()
    """Final ones, sealed or incomplete, in time order."""
    runs: dict[str, RunFact] = Field(default_factory=dict)
    """By task."""
    tries: dict[str, TryFact] = Field(default_factory=dict)
    """By task."""
    offers: tuple[Offer, ...] = ()
    record: GroupRecord | None = None
    """The latest record of the group."""
    ingest: IngestFact = IngestFact()
    reference: dict[str, str] = Field(default_factory=dict)
    """Reference data: ``<kind>:<name>`` to sha256."""
    more: str = ""
    """Key after which the next page goes on; empty: this was the last."""
    bus_full: bool = False
    bus_away: bool = False
    keeper_silent: bool = False

    def merged(self, other: Facts) -> Facts:
        """Return these facts with those of a later answer; of two statements on one thing the later counts."""
        known = {item.id: item for item in (*self.observations, *other.observations)}
        offers = {item.task: item for item in (*self.offers, *other.offers)}
        return other.model_copy(
            update={
                "observations": tuple(sorted(known.values(), key=lambda item: (item.start, item.id))),
                "runs": self.runs | other.runs,
                "tries": self.tries | other.tries,
                "reference": self.reference | other.reference,
                "offers": tuple(sorted(offers.values(), key=lambda item: (item.at, item.task))),
                "bus_full": self.bus_full or other.bus_full,
                "bus_away": self.bus_away or other.bus_away,
                "keeper_silent": self.keeper_silent or other.keeper_silent,
            }
        )
