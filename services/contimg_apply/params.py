"""Parameters of stage apply and its declaration."""

from __future__ import annotations

from pydantic import Field

from contimg.models.spec import DataType, Scope, StageParams, StageSpec

__all__ = ["SPEC", "ApplyParams"]


class ApplyParams(StageParams):
    """What is done to the visibilities beyond the division by the gains, and when they are no good."""

    clip_mad: float = Field(7.0, ge=0)
    """Calibrated amplitudes this many robust standard deviations above the median of their row are flagged; 0: none."""
    failed_flagged: float = Field(0.6, ge=0, le=1)
    """Failed above this fraction of flagged cross-correlations."""


SPEC = StageSpec(
    name="apply",
    scope=Scope.OBSERVATION,
    recipe_version=1,
    params=ApplyParams,
    makes=(
        DataType(
            name="calibrated_ms",
            home="calibrated/ms",
            variable="CONTIMG_CALIBRATED_MS_DIR",
            workspace="calibration",
            archive="ms",
            include="ms",
            per_group=True,
            retention_days=7,
        ),
    ),
    runner="contimg_apply.stage:Apply",
    recognise="contimg.radio.recognise:calibration_input",
    time_limit_s=3600.0,
)
