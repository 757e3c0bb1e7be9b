"""What all contracts share: closed, frozen pydantic models and UTC times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["Model", "ResourceModel", "TaskId", "UtcTime"]


def _as_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


UtcTime = Annotated[datetime, AfterValidator(_as_utc)]
"""A time in UTC; one without a zone is taken as UTC, as everything in this project is."""

TaskId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""The recipe digest: 32 hexadecimal digits."""


class Model(BaseModel):
    """A record of ours: unknown fields are refused, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ResourceModel(Model):
    """Part of a resource a user writes: camelCase in YAML, snake_case in Python."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, alias_generator=to_camel, populate_by_name=True
    )
