"""Parameters of stage crossmatch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contimg.models.spec import DataType, Reference, Scope, StageInfo, StageParams, StageSpec

__all__ = ["SPEC", "CrossmatchInfo", "CrossmatchParams"]


class CrossmatchParams(StageParams):
    """What a user may say about source finding and matching."""

    enabled: bool = True
    """Switch the whole stage off; publish then does without a catalog."""
    threshold_sigma: Annotated[float, Field(ge=3, le=100)] = 5.0
    """Peaks below this multiple of the local noise are no sources."""
    island_sigma: Annotated[float, Field(ge=2, le=100)] = 3.0
    """Pixels above this multiple of the local noise around a peak belong to its island."""
    background_beams: Annotated[float, Field(ge=5, le=500)] = 15.0
    """Width of the cells in which the local noise is measured, in beams."""
    resolved_sigma: Annotated[float, Field(gt=0, le=20)] = 3.0
    """A source is resolved when its area exceeds the beam by this multiple of the error; else its flux is its peak."""
    flux_scale_error: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Error of the calibration as a part of the flux; added in quadrature to the error of the flux by noise."""
    radius_arcsec: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Largest separation of a match."""
    spectral_index: Annotated[float, Field(ge=-5, le=5)] = -0.7
    """Of catalog sources that have no column ``spectral_index``; scales their flux to the mosaic's frequency."""
    anchor_flux_jy: Annotated[float, Field(gt=0)] = 0.05
    """Matched catalog sources at least this bright measure the flux ratio and the offset."""
    completeness_sigma: Annotated[float, Field(ge=3, le=1000)] = 10.0
    """Catalog sources above this multiple of the local noise are expected to be found."""
    min_anchors: Annotated[int, Field(ge=0)] = 10
    """Degraded with fewer anchors."""
    degraded_flux_ratio: tuple[float, float] = (0.92, 1.08)
    """Degraded when the median flux ratio lies outside."""
    failed_flux_ratio: tuple[float, float] = (0.8, 1.2)
    """Failed when the median flux ratio lies outside."""
    degraded_offset_arcsec: Annotated[float, Field(gt=0)] = 2.0
    """Degraded when the median offset is larger."""
    failed_offset_arcsec: Annotated[float, Field(gt=0)] = 5.0
    """Failed when the median offset is larger."""
    min_completeness: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Degraded when a smaller fraction of the expected catalog sources is found."""


class CrossmatchInfo(StageInfo):
    """What reports may rely on."""

    catalog: str
    """Name of the catalog's files."""
    note: str = ""
    """Why nothing was matched."""


SPEC = StageSpec(
    name="crossmatch",
    scope=Scope.GROUP,
    recipe_version=1,
    params=CrossmatchParams,
    makes=(
        DataType(
            name="catalog",
            home="products/catalogs",
            workspace="crossmatching",
            archive="catalogs",
            validated=True,
            retention_days=90,
        ),
    ),
    runner="contimg_crossmatch.stage:CrossmatchStage",
    recognise="contimg_crossmatch.recognise:recognise",
    info=CrossmatchInfo,
    optional=True,
    time_limit_s=1800.0,
    reference=(Reference(kind="catalog", directory="config/catalogs", variable="CONTIMG_CATALOG_DIR"),),
)
