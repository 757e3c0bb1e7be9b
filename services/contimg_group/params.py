"""Parameters of stage group."""

from __future__ import annotations

from pydantic import Field

from contimg.models.params import Scope, StageParams, StageSpec

__all__ = ["SPEC", "GroupParams"]


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


SPEC = StageSpec(
    name="group",
    scope=Scope.GROUP,
    recipe_version=1,
    params=GroupParams,
    home="group",
    runner="contimg_group.stage:Group",
    workspace="grouping",
    time_limit_s=300.0,
)
