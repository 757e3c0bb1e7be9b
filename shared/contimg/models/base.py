"""What all contracts share: closed, frozen pydantic models, UTC times, and the patterns of names and ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from contimg.limits import FIRST_YEAR, LAST_YEAR

__all__ = ["GroupName", "Model", "ObservationId", "ResourceModel", "TaskId", "UtcTime", "Word", "date_of"]


def _as_utc(value: datetime) -> datetime:
    if not FIRST_YEAR < value.year < LAST_YEAR:
        msg = f"{value.isoformat()} is no time of a recording; times lie between {FIRST_YEAR} and {LAST_YEAR}"
        raise ValueError(msg)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


UtcTime = Annotated[datetime, AfterValidator(_as_utc)]
"""A time in UTC; one without a zone is taken as UTC, as everything in this project is. Years 1951 to 2149."""

TaskId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""The recipe digest: 32 hexadecimal digits."""

ObservationId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$")]
"""Id of an observation, opaque outside its instrument; it is a file name too."""

GroupName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
"""A Kubernetes object name: at most 63 lower-case letters, digits, dots and hyphens."""

Word = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
"""A short name that is part of subjects and paths: a shard, an instrument."""


def date_of(time: datetime) -> str:
    """Return the UTC date of the data, ``YYYY-MM-DD``."""
    return time.date().isoformat()


class Model(BaseModel):
    """A record of ours: unknown fields are refused, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ResourceModel(Model):
    """Part of a resource a user writes: camelCase in YAML, snake_case in Python."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, alias_generator=to_camel, populate_by_name=True
    )
