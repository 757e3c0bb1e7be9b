"""A pipeline: an ordered graph of stages with default parameters."""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from ruamel.yaml import YAML

from contimg.models.base import ResourceModel, Word
from contimg.models.resource import API_VERSION, Metadata

__all__ = ["Pipeline", "PipelineSpec", "PipelineStage", "Units", "read_pipelines"]


class Units(StrEnum):
    """For which observations of a group a stage of scope observation has tasks."""

    ALL = "all"
    MEMBERS = "members"


class PipelineStage(ResourceModel):
    """One stage of a pipeline."""

    stage: str
    """Name of an installed stage; a watcher has no task and stands there for the reader."""
    reads: tuple[str, ...] = ()
    """Stages whose runs are its inputs: of the same unit, of all units, or of the group."""
    units: Units = Units.MEMBERS
    optional: bool = False
    """May be switched off by ``enabled: false``; later stages then do without."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Defaults of this pipeline where they differ from the stage's own."""
    time_limit_s: Annotated[float, Field(ge=0, le=7 * 86400)] = 0.0
    """Limit of one attempt in seconds; 0: the stage's own."""


class PipelineSpec(ResourceModel):
    """Immutable: a changed pipeline gets a new name."""

    title: Annotated[str, Field(max_length=200)] = ""
    """What it makes, in a line for people."""
    instrument: Word
    """The instrument whose observations it reads."""
    stages: Annotated[tuple[PipelineStage, ...], Field(max_length=50)]
    """Its stages; what a stage reads stands before it."""

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


class Pipeline(ResourceModel):
    """The resource."""

    api_version: Literal["contimg.dsa110.org/v1alpha1"] = API_VERSION
    kind: Literal["Pipeline"] = "Pipeline"
    metadata: Metadata
    spec: PipelineSpec

    @property
    def name(self) -> str:
        """Name that groups and surveys use."""
        return self.metadata.name

    @property
    def title(self) -> str:
        """One line for people."""
        return self.spec.title

    @property
    def instrument(self) -> str:
        """The instrument whose observations it takes."""
        return self.spec.instrument

    @property
    def stages(self) -> tuple[PipelineStage, ...]:
        """Stages in order."""
        return self.spec.stages

    def stage(self, name: str) -> PipelineStage | None:
        """Return a stage of this pipeline, or None."""
        return next((item for item in self.stages if item.stage == name), None)


def read_pipelines(package: str) -> tuple[Pipeline, ...]:
    """Return the pipelines that a package ships as ``*.yaml``, sorted by file name."""
    found = sorted((p for p in files(package).iterdir() if p.name.endswith(".yaml")), key=lambda p: p.name)
    values = (YAML(typ="safe", pure=True).load(each.read_text(encoding="utf-8")) for each in found)
    return tuple(map(Pipeline.model_validate, values))
