"""Parameters of stage mosaic."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contimg.models.spec import DataType, Scope, StageInfo, StageOptions, StageParams, StageSpec

__all__ = ["SPEC", "Method", "MosaicInfo", "MosaicOptions", "MosaicParams"]


class Method(StrEnum):
    """How the members are combined."""

    AUTO = "auto"
    PBWEIGHT = "pbweight"
    COADD = "coadd"


class MosaicParams(StageParams):
    """What a user may say about the mosaic."""

    method: Method = Method.AUTO
    """``pbweight``: weighted with the squared beam, corrected for it; ``coadd``: weighted mean of one pointing,
    not corrected; ``auto``: ``coadd`` when all phase centres agree within ``one_pointing_fwhm``."""
    one_pointing_fwhm: Annotated[float, Field(ge=0, le=1)] = 0.05
    """For ``auto``: largest distance of phase centres that still is one pointing, in widths of the primary beam."""
    pb_floor: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Pixels of a member where its beam is lower are not used (``pbweight``)."""
    cell_arcsec: Annotated[float, Field(ge=0, le=600)] = 0.0
    """Pixel size; 0: the smallest of the members."""
    max_beam_difference: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Failed when the restoring beams of two members differ by more (relative width on the mosaic's sky, any
    direction); below it members are convolved to the smallest beam common to them."""
    min_member_fraction: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Failed when fewer of the selected members are in the mosaic."""


class MosaicInfo(StageInfo):
    """What later stages may rely on."""

    mosaic: str
    """Name of the mosaic's files."""
    freq_hz: float | None = None
    """Centre of the band [Hz]."""


class MosaicOptions(StageOptions):
    """What the group says."""

    expected: int = 0
    """Members selected, also those that failed; 0: those that are given."""


SPEC = StageSpec(
    name="mosaic",
    scope=Scope.GROUP,
    recipe_version=2,
    params=MosaicParams,
    makes=(
        DataType(
            name="mosaic",
            home="mosaics",
            variable="CONTIMG_MOSAICS_DIR",
            workspace="mosaicking",
            archive="mosaics",
            validated=True,
            retention_days=90,
        ),
    ),
    runner="contimg_mosaic.stage:MosaicStage",
    recognise="contimg_mosaic.recognise:recognise",
    info=MosaicInfo,
    options=MosaicOptions,
    decide="contimg_mosaic.decide:decide",
    time_limit_s=3600.0,
)
