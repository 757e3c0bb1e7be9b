"""Parameters of stage group."""

from __future__ import annotations

from pydantic import Field

from contimg.models.spec import DataType, Scope, StageInfo, StageParams, StageSpec

__all__ = ["SPEC", "GroupInfo", "GroupParams"]


class GroupParams(StageParams):
    """The rules of a group; 0 switches a rule off."""

    min_size: int = Field(3, ge=0)
    """Fewer members degrade the group."""
    max_gap_s: float = Field(900.0, ge=0)
    """Longest time from one start to the next, in seconds; above it degraded."""
    max_span_min: float = Field(60.0, ge=0)
    """Longest time from the first start to the last, in minutes; above it degraded."""
    max_dec_offset_deg: float = Field(0.1, ge=0)
    """Largest distance of a member's declination from the mean, in degrees; above it refused."""


class GroupInfo(StageInfo):
    """What reports may rely on."""

    start: str
    end: str
    dec_deg: float
    """Mean declination of the members [deg]."""
    members: tuple[str, ...]
    """Observation ids."""


SPEC = StageSpec(
    name="group",
    scope=Scope.GROUP,
    recipe_version=1,
    params=GroupParams,
    makes=(DataType(name="group", home="raw/groups", workspace="grouping", archive="metadata", validated=True),),
    runner="contimg_group.stage:Group",
    recognise="contimg_group.recognise:recognise",
    info=GroupInfo,
    time_limit_s=300.0,
)
