"""Parameters of stage convert."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from contimg.models.spec import DataType, Reference, Scope, StageInfo, StageParams, StageSpec

__all__ = ["SPEC", "ConvertInfo", "ConvertParams"]


class ConvertParams(StageParams):
    """How raw files become a measurement set, what is flagged, and the limits of the figures."""

    rfi: Literal["array", "aoflagger", "none"] = "array"
    """Interference flagger: statistic over the whole array, AOFlagger per baseline, or none."""
    rfi_sigma: float = Field(6.0, gt=0)
    """Threshold of ``rfi: array`` in robust standard deviations."""
    mad_clip: float = Field(7.0, ge=0)
    """Amplitudes this many robust standard deviations above the median of their baseline are flagged; 0: none."""
    edge_fraction: float = Field(0.01, ge=0, lt=0.5)
    """Fraction of the channels flagged at each end of the band."""
    dead_below: float = Field(0.05, ge=0, lt=1)
    """An antenna whose mean amplitude is below this fraction of the median antenna is dead."""
    calibrator_min_jy: float = Field(2.0, ge=0)
    """Least apparent flux of a calibrator that makes a drift observation a calibrator observation, in Jy."""
    calibrator_max_offset_deg: float = Field(1.0, ge=0)
    """Largest declination offset of such a calibrator, in degrees."""
    degraded_flagged: float = Field(0.3, gt=0, le=1)
    """Flagged fraction of the cross-correlations above which the result is degraded."""
    degraded_not_finite: float = Field(0.01, ge=0, le=1)
    """Fraction of the raw visibilities that are infinite or NaN above which the result is degraded."""
    failed_flagged: float = Field(0.6, gt=0, le=1)
    """Flagged fraction of the cross-correlations above which it fails."""
    min_antennas: int = Field(70, ge=0)
    """Fewer live antennas degrade the result; 0: not judged."""
    max_uvw_error_lambda: float = Field(0.1, ge=0)
    """Largest difference of the file's uvw from pyuvdata's, in wavelengths; above it fails; 0: not judged."""
    max_position_error_m: float = Field(0.05, ge=0)
    """Distance of a station from the official list above which the result is degraded, in metres; 0: not judged."""


class ConvertInfo(StageInfo):
    """What later stages may rely on."""

    telescope: str
    """Key of ``contimg.radio.telescopes``."""
    start: str
    """UTC, ISO 8601, of the first integration's start; ``mid`` and ``end`` likewise."""
    mid: str
    end: str
    dec_deg: float
    """ICRS declination of the phase centre [deg]."""
    app_dec_deg: float | None = None
    """Apparent declination of the pointing [deg]; None: a pointed array."""
    source: str = ""
    role: str
    calibrators: tuple[dict[str, Any], ...] = ()
    """Transits inside the recording (``CalibratorTransit`` as JSON)."""


SPEC = StageSpec(
    name="convert",
    scope=Scope.OBSERVATION,
    recipe_version=1,
    params=ConvertParams,
    makes=(
        DataType(
            name="raw_ms",
            home="raw/ms",
            variable="CONTIMG_RAW_MS_DIR",
            workspace="conversion",
            retention_days=7,
        ),
    ),
    runner="contimg_convert.stage:Convert",
    recognise="contimg_convert.recognise:recognise",
    info=ConvertInfo,
    time_limit_s=1800.0,
    reference=(Reference(kind="flags", directory="config/flags", suffix=".txt", by_date=True),),
)
