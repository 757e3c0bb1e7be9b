"""Parameters of stage image and its declaration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contimg.models.spec import DataType, Scope, StageInfo, StageParams, StageSpec

__all__ = ["SPEC", "ImageInfo", "ImageParams"]


class ImageParams(StageParams):
    """How calibrated visibilities become an image; every backend understands all of them unless it says so."""

    backend: Literal["ducc", "wsclean", "tclean"] = "ducc"
    """``ducc``: ducc0 w-gridder and the CLEAN of this package; ``wsclean``: the program; ``tclean``: casatasks."""
    cell_arcsec: float = Field(3.0, gt=0)
    """Side of a pixel at the phase centre."""
    size: int = Field(4800, ge=32, le=32768)
    """Pixels along each side."""
    margin: float = Field(0.1, ge=0, le=1)
    """Width of a frame around the image, as part of its size, that is cleaned too and cut off (``ducc`` only)."""
    weighting: Literal["briggs", "uniform", "natural"] = "briggs"
    """Weighting of the uv plane; ``robust`` belongs to ``briggs``."""
    robust: float = Field(0.0, ge=-2, le=2)
    """Briggs' robustness: -2 is nearly uniform, 2 nearly natural."""
    min_uv_lambda: float = Field(0.0, ge=0)
    """Shorter baselines are left out, in wavelengths; 0: none."""
    channels: str = ""
    """Channels to use, ``4~6;50~59`` (both ends included); empty: all."""
    channel_average: int = Field(0, ge=0)
    """Channels averaged before gridding; 0: as many as lose 0.5 % at the half-power radius of the antenna beam."""
    deconvolver: Literal["clark", "multiscale"] = "clark"
    """Point-source CLEAN, or CLEAN with extended components."""
    scales_arcsec: tuple[float, ...] = ()
    """Diameters of the components of ``multiscale``; 0 is a point; empty: 0, 2, 4, 8 beams."""
    auto_mask_sigma: float = Field(5.0, ge=0)
    """Components start above this many sigma (rms by MAD); 0: anywhere."""
    threshold_sigma: float = Field(1.0, ge=0)
    """Where there are components CLEAN goes down to this many sigma."""
    threshold_jy: float = Field(0.0, ge=0)
    """CLEAN never goes below this [Jy/beam]; 0: off."""
    max_iterations: int = Field(50000, ge=0)
    """Most components; 0 makes the dirty image."""
    max_majors: int = Field(15, ge=1)
    """Most major cycles."""
    gain: float = Field(0.1, gt=0, le=1)
    """Part of a peak that one component takes away."""
    major_gain: float = Field(0.85, gt=0, lt=1)
    """Part of the highest peak that the components of one major cycle take away."""
    epsilon: float = Field(1e-4, ge=2e-5, le=1e-2)
    """Relative accuracy of the gridder (``ducc`` and ``wsclean``)."""
    restoring_beam_arcsec: float = Field(0.0, ge=0)
    """Diameter of the restoring beam; 0: that of the whole array at its declination for a drift scan, else the fit."""
    beam: Literal["ellipse", "circle"] = "ellipse"
    """Restoring beam of a drift scan: the ellipse of the whole array's PSF, or the smallest circle around it."""
    beam_model: Literal["airy", "gaussian", "dsacalib", "none"] = "airy"
    """Power beam of the antennas."""
    follow_beam: bool = True
    """The model follows the change of the beam through time and band, to first order (``ducc`` only)."""
    pb_floor: float = Field(0.1, gt=0, lt=1)
    """The beam-corrected image is blank below this beam level."""
    degraded_dynamic_range: float = Field(100.0, ge=0)
    """Degraded below this ratio of peak to rms."""
    failed_dynamic_range: float = Field(30.0, ge=0)
    """Failed below this ratio of peak to rms."""


class ImageInfo(StageInfo):
    """What later stages may rely on."""

    rms_jy: float | None = None
    """Noise of the image [Jy/beam]."""


SPEC = StageSpec(
    name="image",
    scope=Scope.OBSERVATION,
    recipe_version=3,
    params=ImageParams,
    makes=(
        DataType(
            name="image",
            home="images",
            variable="CONTIMG_IMAGES_DIR",
            workspace="imaging",
            archive="images",
            include="images",
            per_group=True,
            validated=True,
            retention_days=30,
        ),
    ),
    runner="contimg_image.stage:ImageStage",
    recognise="contimg_image.recognise:recognise",
    info=ImageInfo,
    time_limit_s=3600.0,
)
