"""Parameters of stage publish; when and what to publish is said in the group's ``publish``, not here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contimg.models.group import PublishSpec
from contimg.models.spec import DataType, Scope, StageInfo, StageOptions, StageParams, StageSpec

__all__ = ["SPEC", "PublishInfo", "PublishOptions", "PublishParams"]


class PublishParams(StageParams):
    """What a user may say about the report."""

    report_pictures: Annotated[int, Field(ge=0, le=200)] = 24
    """At most so many pictures stand in the report; the mosaic comes first."""
    report_sources: Annotated[int, Field(ge=0, le=1000)] = 25
    """At most so many of the brightest sources are listed in the report."""


class PublishInfo(StageInfo):
    """What reports may rely on."""

    publish: bool
    reason: str = ""
    """Why it is not published."""
    verdict: str
    policy: str


class PublishOptions(StageOptions):
    """What the group says."""

    publish: PublishSpec = PublishSpec()


SPEC = StageSpec(
    name="publish",
    scope=Scope.GROUP,
    recipe_version=1,
    params=PublishParams,
    makes=(
        DataType(
            name="metadata",
            home="products/metadata",
            workspace="publishing",
            archive="metadata",
            validated=True,
            retention_days=90,
        ),
    ),
    runner="contimg_publish.stage:PublishStage",
    info=PublishInfo,
    options=PublishOptions,
    decide="contimg_publish.decide:decide",
    effect="contimg_publish.effect:publish",
    judges=True,
    time_limit_s=1800.0,
)
