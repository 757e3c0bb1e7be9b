"""What all resources share: the version of their API and the part of an API server's metadata that is used."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from contimg.models.base import GroupName, ResourceModel

__all__ = ["API_VERSION", "Metadata"]

API_VERSION: Final = "contimg.dsa110.org/v1alpha1"


class Metadata(ResourceModel):
    """The part of Kubernetes' object metadata that is used; what else an API server adds is left alone."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, use_attribute_docstrings=True, alias_generator=to_camel, populate_by_name=True
    )

    name: GroupName
    generation: Annotated[int, Field(ge=0)] = 1
    labels: dict[str, str] = Field(default_factory=dict)
    resource_version: str = ""
    """What a conflict is told by; empty outside an API server."""
    uid: str = ""
    deletion_timestamp: str = ""
    """Not empty: it is being deleted."""
