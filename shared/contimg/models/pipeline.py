"""A pipeline: an ordered graph of stages with default parameters."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from contimg.models.base import ResourceModel

__all__ = ["Pipeline", "PipelineStage", "Units"]


class Units(StrEnum):
    """For which observations of a group a stage of scope observation has tasks."""

    ALL = "all"
    MEMBERS = "members"


class PipelineStage(ResourceModel):
    """One stage of a pipeline."""

    stage: str
    """Name of an installed stage (``ingest`` is the watcher and has no task)."""
    reads: tuple[str, ...] = ()
    """Stages whose runs are its inputs: of the same unit, of all units, or of the group."""
    units: Units = Units.MEMBERS
    optional: bool = False
    """May be switched off by ``enabled: false``; later stages then do without."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Defaults of this pipeline where they differ from the stage's own."""
    time_limit_s: float = 0.0
    """Limit of one attempt in seconds; 0: the stage's own."""


class Pipeline(ResourceModel):
    """Immutable: a changed pipeline gets a new name."""

    name: str
    title: str
    telescope: str
    stages: tuple[PipelineStage, ...]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        seen: set[str] = set()
        for item in self.stages:
            unknown = [name for name in item.reads if name not in seen]
            if unknown:
                msg = f"stage {item.stage!r} reads {unknown[0]!r}, which does not stand before it"
                raise ValueError(msg)
            if item.stage in seen:
                msg = f"stage {item.stage!r} stands twice"
                raise ValueError(msg)
            seen.add(item.stage)
        return self

    def stage(self, name: str) -> PipelineStage | None:
        """Return a stage of this pipeline, or None."""
        return next((item for item in self.stages if item.stage == name), None)
