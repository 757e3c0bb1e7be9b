"""Parameters of stage level2: the list of modules is the recipe."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from contimg.models.base import Model
from contimg.models.spec import DataType, Scope, StageInfo, StageParams, StageSpec

__all__ = ["SPEC", "Level2Info", "Level2Params", "ModuleCall"]


class ModuleCall(Model):
    """One module: its class, what differs from its defaults, and its version."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    """Class of the module."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Arguments that differ from its defaults."""
    version: int = 1
    """Version that the task was planned with; a worker with another one refuses it."""


class Level2Params(StageParams):
    """What a user may say about level 2."""

    modules: Annotated[tuple[ModuleCall, ...], Field(max_length=100)] = ()
    """Modules in order, each with its arguments; none: the ten of the shipped project with their defaults."""


class Level2Info(StageInfo):
    """What later stages may rely on."""

    start: str
    end: str
    source: str
    source_group: str
    """Galactic, Foreground, Calibrator, …"""
    scans: int
    feeds: tuple[int, ...]
    """Feeds on the sky."""


SPEC = StageSpec(
    name="level2",
    scope=Scope.OBSERVATION,
    recipe_version=1,
    params=Level2Params,
    makes=(
        DataType(
            name="level2",
            home="level2",
            variable="CONTIMG_COMAP_LEVEL2_DIR",
            workspace="level2",
            archive="level2",
            include="level2",
        ),
    ),
    runner="contimg_comap_level2.stage:Level2Stage",
    recognise="contimg_comap_level2.recognise:recognise",
    info=Level2Info,
    time_limit_s=7200.0,
)
