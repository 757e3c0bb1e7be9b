"""What its stages declare."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contimg.models.base import UtcTime
from contimg.models.fact import OfferKey
from contimg.models.spec import DataType, Reference, Scope, StageInfo, StageOptions, StageParams, StageSpec


class TidyParams(StageParams):
    """How counts are cleaned."""

    least: int = Field(0, ge=0)
    """Counts below are left out."""


class TidyInfo(StageInfo):
    """What later stages may rely on."""

    level: float
    """Mean count."""


class WeighParams(StageParams):
    """How the weight is found."""

    window_d: float = Field(10.0, gt=0)
    """How far away the weight of another group may be [d]."""


class WeighInfo(StageInfo):
    """What other groups may rely on."""

    mode: str
    weight: float
    at: UtcTime

    def offer(self) -> OfferKey | None:
        """Return a weight that was measured here."""
        return OfferKey(key="weight", at=self.at) if self.mode == "own" else None


class WeighOptions(StageOptions):
    """What was decided."""

    mode: Literal["own", "taken"] = "own"
    standard: str = ""
    """The recording of the standard."""


class SliceParams(StageParams):
    """How the counts are parted."""

    parts: int = Field(2, ge=1, le=9)
    """So many partitions."""


class SliceOptions(StageOptions):
    """Which one this is."""

    part: int = 0


class JoinParams(StageParams):
    """Nothing to choose."""


TIDY = StageSpec(
    name="tidy",
    scope=Scope.OBSERVATION,
    params=TidyParams,
    makes=(DataType(name="toy_counts", home="toy/counts", retention_days=1),),
    runner="toyscope.stages:Tidy",
    info=TidyInfo,
)
WEIGH = StageSpec(
    name="weigh",
    scope=Scope.GROUP,
    params=WeighParams,
    makes=(DataType(name="toy_weight", home="toy/weights", retention_days=30),),
    runner="toyscope.stages:Weigh",
    info=WeighInfo,
    options=WeighOptions,
    decide="toyscope.decide:weigh",
    wants="toyscope.decide:wants",
    reference=(Reference(kind="toy_notes", directory="config/toyscope", suffix=".txt"),),
)
SLICE = StageSpec(
    name="slice",
    scope=Scope.PARTITION,
    params=SliceParams,
    makes=(DataType(name="toy_slice", home="toy/slices", archive="toyslices", include="slices", retention_days=7),),
    runner="toyscope.stages:Slice",
    options=SliceOptions,
    decide="toyscope.decide:parts",
)
JOIN = StageSpec(
    name="join",
    scope=Scope.GROUP,
    params=JoinParams,
    makes=(
        DataType(
            name="toy_sum",
            home="products/toysums",
            variable="CONTIMG_TOY_SUMS_DIR",
            archive="toysums",
            validated=True,
            retention_days=90,
        ),
    ),
    runner="toyscope.stages:Join",
)
