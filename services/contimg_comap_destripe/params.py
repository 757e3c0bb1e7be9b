"""Parameters of stage destripe: the maps, each with its own settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from contimg.models.base import Model
from contimg.models.spec import DataType, Scope, StageInfo, StageOptions, StageParams, StageSpec

__all__ = ["SPEC", "DestripeInfo", "DestripeOptions", "DestripeParams", "MapRequest"]

_FEEDS = tuple(range(1, 20))


class MapRequest(Model):
    """One map."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$")] = "map"
    """First part of the file's name."""
    band: Annotated[int, Field(ge=0, le=7)] = 0
    """Band and bin: 2 · band + bin."""
    feeds: Annotated[tuple[Annotated[int, Field(ge=1, le=19)], ...], Field(min_length=1, max_length=19)] = _FEEDS
    """Feeds that are combined."""
    wcs: str = "dynamic"
    """Name of a grid (``Galactic``, ``TauA``, …), or ``dynamic``: around the data."""
    cell_deg: Annotated[float, Field(gt=0, le=1)] = 0.0166666
    """Pixel of a dynamic grid [deg]."""
    padding_deg: Annotated[float, Field(ge=0, le=10)] = 0.25
    """Empty border of a dynamic grid [deg]."""
    offset_length: Annotated[int, Field(ge=1, le=100000)] = 100
    """Samples of one offset."""
    lambda_ridge: Annotated[float, Field(ge=0, le=1)] = 1e-4
    """Weight that draws offsets to zero, relative to the median weight of an offset."""
    tod: Annotated[str, Field(pattern=r"^level2/[A-Za-z0-9_]+$")] = "level2/binned_filtered_data"
    """Dataset of the level-2 files that is mapped."""


class DestripeParams(StageParams):
    """What a user may say about the maps."""

    maps: Annotated[tuple[MapRequest, ...], Field(min_length=1, max_length=1000)] = (MapRequest(),)
    """The maps; each is a task of its own."""
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    """The conjugate gradients end when the residual is this fraction of the right-hand side."""
    max_iterations: Annotated[int, Field(ge=1, le=100000)] = 1000
    """Not converged by then: the map is failed."""
    max_rms_k: Annotated[float, Field(gt=0)] = 0.1
    """Scans that are noisier are left out [K]."""
    spike_sigma: Annotated[float, Field(gt=0)] = 10.0
    """Samples that stand out of the median of their five neighbours by more are left out, in units of the noise."""


class DestripeInfo(StageInfo):
    """What reports may rely on."""

    map: str
    """Name of the file without its suffix."""
    band: int
    members: tuple[str, ...]
    """Observations with data in the map."""


class DestripeOptions(StageOptions):
    """Which map this is."""

    map: int = 0
    """Position in the list."""
    expected: int = 0
    """Members selected, also those that failed; 0: those that are given."""


SPEC = StageSpec(
    name="destripe",
    scope=Scope.PARTITION,
    recipe_version=1,
    params=DestripeParams,
    makes=(
        DataType(
            name="comap_map",
            home="products/comap_maps",
            variable="CONTIMG_COMAP_MAPS_DIR",
            workspace="destriping",
            archive="comap_maps",
            per_group=True,
            validated=True,
            retention_days=90,
        ),
    ),
    runner="contimg_comap_destripe.stage:DestripeStage",
    recognise="contimg_comap_destripe.recognise:recognise",
    info=DestripeInfo,
    options=DestripeOptions,
    decide="contimg_comap_destripe.decide:decide",
    time_limit_s=7200.0,
)
