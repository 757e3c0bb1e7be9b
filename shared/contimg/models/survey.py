"""``Survey``: a standing order that forms groups from what arrives."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from contimg.limits import MEMBERS, ProtocolLimits
from contimg.models.base import GroupName, ObservationId, ResourceModel, UtcTime, Word
from contimg.models.group import PublishSpec, SourceName
from contimg.models.reason import Phase, Reason
from contimg.models.resource import API_VERSION, Metadata

__all__ = [
    "UNGROUPED_SHOWN",
    "FileSetRules",
    "GroupRules",
    "GroupTemplate",
    "Left",
    "Survey",
    "SurveySpec",
    "SurveyStatus",
    "UngroupedCount",
    "UngroupedStatus",
]


def _measured(units: dict[str, float]) -> BeforeValidator:
    """Return a validator that reads ``900s`` or ``0.1deg`` as a number of the field's unit; numbers pass."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for unit in sorted(units, key=len, reverse=True):
            number = value.strip().removesuffix(unit)
            if number != value.strip():
                with contextlib.suppress(ValueError):
                    return float(number) * units[unit]
        raise ValueError(f"write a number with one of the units {', '.join(units)}, e.g. 10{next(iter(units))}")

    return BeforeValidator(read)


def _written(*units: str) -> WithJsonSchema:
    """Return the schema of such a number: a whole number of the first unit, or text with a unit."""
    pattern = rf"^[0-9]+(\.[0-9]+)? ?({'|'.join(units)})$"
    return WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": pattern}],
            "x-kubernetes-int-or-string": True,
            "x-unit": units[0],
        }
    )


UNGROUPED_SHOWN = 20
"""Ungrouped recordings that a status names; the others are counted."""
NAME = 46
"""Longest name of a survey: with ``-20260125t222600z`` it is the name of a group, of at most 63 characters."""
Seconds = Annotated[
    float,
    _measured({"s": 1.0, "min": 60.0, "h": 3600.0}),
    Field(gt=0, le=1e9, allow_inf_nan=False),
    _written("s", "min", "h"),
]
"""A duration in seconds; ``900s``, ``15min`` and ``1h`` are understood."""
Minutes = Annotated[
    float,
    _measured({"min": 1.0, "s": 1 / 60, "h": 60.0}),
    Field(gt=0, le=1e9, allow_inf_nan=False),
    _written("min", "s", "h"),
]
"""A duration in minutes; the same spellings."""
Degrees = Annotated[
    float,
    _measured({"deg": 1.0, "arcmin": 1 / 60}),
    Field(gt=0, le=360, allow_inf_nan=False),
    _written("deg", "arcmin"),
]
"""An angle in degrees; ``0.1deg`` and ``6arcmin`` are understood."""


class GroupRules(ResourceModel):
    """When recordings belong together (P11)."""

    size: Annotated[int, Field(ge=1, le=MEMBERS)] = 10
    """Members of a full group."""
    overlap: Annotated[int, Field(ge=0)] = 2
    """Members a group shares with the one before it in the same run."""
    min_size: Annotated[int, Field(ge=1)] = 3
    """Smallest tail group."""
    max_gap_s: Seconds = Field(900.0, alias="maxGap")
    """Longest step from start to start inside a run."""
    max_span_min: Minutes = Field(60.0, alias="maxSpan")
    """Longest time from the first to the last start of a group."""
    dec_tolerance_deg: Degrees = Field(0.1, alias="decTolerance")
    """Largest distance in declination from the run's mean."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.overlap >= self.size:
            raise ValueError(f"overlap {self.overlap} must be smaller than size {self.size}")
        if self.min_size > self.size:
            raise ValueError(f"minSize {self.min_size} must not be larger than size {self.size}")
        return self


class GroupTemplate(ResourceModel):
    """What every group of the survey carries beside its members."""

    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Parameters that differ from the pipeline's defaults, by stage."""
    calibrator: SourceName = "auto"
    """A name restricts the choice of the calibration to this calibrator."""
    min_members: Annotated[int, Field(ge=1)] | None = None
    """How many members must succeed; default all."""


class FileSetRules(ResourceModel):
    """When a file set is complete (P9)."""

    expect: Annotated[int, Field(ge=1)] | None = None
    """Files a full set has; None: what the instrument says."""
    min: Annotated[int, Field(ge=1)] | None = None
    """Files that suffice at the deadline; None: all of them."""
    deadline_s: Seconds = Field(ProtocolLimits.seal_after_s, alias="deadline")
    """Time after the last file at which a set becomes final."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min is not None and self.expect is not None and self.min > self.expect:
            raise ValueError(f"min {self.min} must not be larger than expect {self.expect}")
        return self


class SurveySpec(ResourceModel):
    """The standing order."""

    pipeline: GroupName
    """Name of the pipeline of every group."""
    start: UtcTime | None = None
    """Recordings that start before are left alone; None: all."""
    groups: GroupRules = GroupRules()
    file_sets: FileSetRules = FileSetRules()
    template: GroupTemplate = GroupTemplate()
    publish: PublishSpec = PublishSpec()
    shard: Word = "main"
    """The staging volume where its groups are processed."""
    suspend: bool = False
    """Form no groups; those that are formed go on."""


class Left(StrEnum):
    """Why a recording is in no group, in a word."""

    WAITING = "Waiting"
    """A group may still take it."""
    INCOMPLETE = "Incomplete"
    NO_TARGET = "NoTarget"
    LATE = "Late"
    TOO_FEW = "TooFew"


class UngroupedStatus(ResourceModel):
    """A recording that no group has."""

    observation: ObservationId
    """Its id."""
    kind: Left = Left.WAITING
    """The reason in a word."""
    reason: Annotated[str, Field(max_length=300)]
    """Why no group has it, in a sentence."""


class UngroupedCount(ResourceModel):
    """How many recordings are in no group for one reason."""

    kind: Left
    """The reason in a word."""
    count: Annotated[int, Field(ge=0)]
    """Recordings."""


class SurveyStatus(ResourceModel):
    """The whole status of the resource."""

    observed_generation: int
    """Generation of the spec that this status speaks of."""
    phase: Phase
    reason: Reason = Reason.RUNNING
    message: Annotated[str, Field(max_length=1024)] = ""
    """Where it stands, in a sentence."""
    groups: int = 0
    """Formed so far."""
    waiting: int = 0
    """Recordings that a group may still take."""
    ungrouped_count: int = 0
    """Recordings that no group has, those that wait included."""
    reasons: Annotated[tuple[UngroupedCount, ...], Field(max_length=16)] = ()
    """The same by reason."""
    ungrouped: Annotated[tuple[UngroupedStatus, ...], Field(max_length=UNGROUPED_SHOWN)] = ()
    """The latest ones, with their reasons."""


class Survey(ResourceModel):
    """The resource."""

    api_version: Literal["contimg.dsa110.org/v1alpha1"] = API_VERSION
    kind: Literal["Survey"] = "Survey"
    metadata: Metadata
    spec: SurveySpec
    status: SurveyStatus | None = None

    @model_validator(mode="after")
    def _short(self) -> Self:
        if len(self.metadata.name) > NAME:
            raise ValueError(f"the name of a survey has at most {NAME} characters: groups are named after it")
        return self

    @property
    def name(self) -> str:
        """First part of the names of its groups."""
        return self.metadata.name
