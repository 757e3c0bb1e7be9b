"""``Survey``: a standing order that forms groups from what arrives."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from contimg.models.base import ResourceModel
from contimg.models.group import Metadata, PublishSpec

__all__ = ["FileSetRules", "GroupRule", "GroupRules", "Survey", "SurveySpec"]


def _measured(units: dict[str, float]) -> BeforeValidator:
    """Return a validator that reads ``900s`` or ``0.1deg`` as a number of the field's unit; numbers pass."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for unit in sorted(units, key=len, reverse=True):
            number = value.strip().removesuffix(unit)
            if number != value.strip():
                return float(number) * units[unit]
        raise ValueError(f"write a number with one of the units {', '.join(units)}, e.g. 10{next(iter(units))}")

    return BeforeValidator(read)


NAME = 46
"""Longest name of a survey: with ``-20260125t222600z`` it is the name of a group, of at most 63 characters."""
Seconds = Annotated[float, _measured({"s": 1.0, "min": 60.0, "h": 3600.0}), Field(gt=0, allow_inf_nan=False)]
"""A duration in seconds; ``900s``, ``15min`` and ``1h`` are understood."""
Minutes = Annotated[float, _measured({"min": 1.0, "s": 1 / 60, "h": 60.0}), Field(gt=0, allow_inf_nan=False)]
"""A duration in minutes; the same spellings."""
Degrees = Annotated[float, _measured({"deg": 1.0, "arcmin": 1 / 60}), Field(gt=0, allow_inf_nan=False)]
"""An angle in degrees; ``0.1deg`` and ``6arcmin`` are understood."""


class GroupRules(ResourceModel):
    """When recordings belong together (P11)."""

    size: Annotated[int, Field(ge=1, le=1000)] = 10
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


class GroupRule(GroupRules):
    """The rules together with what every group of the survey carries."""

    survey: Annotated[str, Field(max_length=NAME)] = "survey"
    """Name of the survey: the first part of the groups' names."""
    pipeline: str = "dsa110-continuum"
    publish: PublishSpec = PublishSpec()


class FileSetRules(ResourceModel):
    """When a file set is complete (P9)."""

    expect: Annotated[int, Field(ge=1)] = 16
    """Files a full set has."""
    min: Annotated[int, Field(ge=1)] = 16
    """Files that suffice at the deadline."""
    deadline_s: Seconds = Field(900.0, alias="deadline")
    """Time after the last file at which a set becomes final."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min > self.expect:
            raise ValueError(f"min {self.min} must not be larger than expect {self.expect}")
        return self


class SurveySpec(ResourceModel):
    """The standing order."""

    pipeline: str
    groups: GroupRules = GroupRules()
    file_sets: FileSetRules = FileSetRules()
    publish: PublishSpec = PublishSpec()
    suspend: bool = False


class Survey(ResourceModel):
    """The resource."""

    api_version: Literal["contimg.dsa110.org/v1alpha1"] = "contimg.dsa110.org/v1alpha1"
    kind: Literal["Survey"] = "Survey"
    metadata: Metadata
    spec: SurveySpec

    @model_validator(mode="after")
    def _short(self) -> Self:
        if len(self.metadata.name) > NAME:
            raise ValueError(f"the name of a survey has at most {NAME} characters: groups are named after it")
        return self

    @property
    def rule(self) -> GroupRule:
        """What ``form_groups`` needs."""
        rules = self.spec.groups.model_dump()
        return GroupRule(survey=self.metadata.name, pipeline=self.spec.pipeline, publish=self.spec.publish, **rules)
