"""Parameters of stage publish; when and what to publish is said in the group's ``publish``, not here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contimg.models.params import Scope, StageParams, StageSpec

__all__ = ["SPEC", "PublishParams"]


class PublishParams(StageParams):
    """What a user may say about the report."""

    report_pictures: Annotated[int, Field(ge=0, le=200)] = 24
    """At most so many pictures stand in the report; the mosaic comes first."""
    report_sources: Annotated[int, Field(ge=0, le=1000)] = 25
    """At most so many of the brightest sources are listed in the report."""


SPEC = StageSpec(
    name="publish",
    scope=Scope.GROUP,
    recipe_version=1,
    params=PublishParams,
    home="metadata",
    runner="contimg_publish.stage:PublishStage",
    workspace="publishing",
    time_limit_s=1800.0,
)
