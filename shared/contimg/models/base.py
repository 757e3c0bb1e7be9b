"""What all contracts share: closed, frozen pydantic models, UTC times, and the patterns of names and ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from contimg.limits import FIRST_YEAR, LAST_YEAR

__all__ = ["ALLOWED", "GroupName", "Model", "ObservationId", "ResourceModel", "TaskId", "UtcTime", "Word", "date_of"]


def _as_utc(value: datetime) -> datetime:
    if not FIRST_YEAR < value.year < LAST_YEAR:
        msg = f"{value.isoformat()} is no time of a recording; times lie between {FIRST_YEAR} and {LAST_YEAR}"
        raise ValueError(msg)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


UtcTime = Annotated[datetime, AfterValidator(_as_utc)]
"""A time in UTC; one without a zone is taken as UTC, as everything in this project is. Years 1951 to 2149."""

_ID = r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$"
_NAME = r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
_WORD = r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"
ALLOWED = {
    _ID: "1 to 64 letters, digits and ':._-', the first a letter or digit",
    _NAME: "1 to 63 lower-case letters, digits, '.' and '-', the first and last a letter or digit",
    _WORD: "1 to 32 lower-case letters, digits and '-', the first and last a letter or digit",
}
"""What the patterns of names and ids allow, in words."""

TaskId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""The recipe digest: 32 hexadecimal digits."""

ObservationId = Annotated[str, Field(pattern=_ID)]
"""Id of an observation, opaque outside its instrument; it is a file name too."""

GroupName = Annotated[str, Field(pattern=_NAME)]
"""A Kubernetes object name: at most 63 lower-case letters, digits, dots and hyphens."""

Word = Annotated[str, Field(pattern=_WORD)]
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
