"""Parameters of stage solve and its declaration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contimg.models.base import Model, UtcTime
from contimg.models.fact import OfferKey
from contimg.models.spec import DataType, Reference, Scope, StageInfo, StageOptions, StageParams, StageSpec

__all__ = ["SPEC", "Calibration", "SolveInfo", "SolveOptions", "SolveParams"]


class SolveParams(StageParams):
    """How gains are solved, and when a solution is no good."""

    strategy: Literal["transit", "calibrator-scans"] = "transit"
    """``transit``: a calibrator that drifts through one member; ``calibrator-scans``: pointed scans of calibrators."""
    backend: Literal["stefcal", "casa"] = "stefcal"
    """``stefcal``: the solver of this package; ``casa``: casatasks ``bandpass``, ``gaincal`` and ``fluxscale``."""
    reference_antennas: tuple[str, ...] = ("103", *(str(n) for n in range(104, 118)))
    """Names, the first that is alive has phase zero; if none is alive, the antenna with the best bandpass."""
    min_uv_wavelengths: float = Field(1000.0, ge=0)
    """Shortest baseline used, in wavelengths at the middle of the band."""
    min_snr: float = Field(5.0, ge=0)
    """Solutions with a smaller ratio of amplitude to its error are flagged."""
    min_baselines: int = Field(4, ge=2)
    """Antennas with fewer baselines to other antennas are flagged."""
    fill_gaps: int = Field(3, ge=0)
    """Longest run of flagged bandpass channels that is filled by interpolation."""
    noisy_factor: float = Field(4.0, gt=1)
    """Antennas that make visibilities this many times as noisy (variance) as the median antenna are flagged."""
    edge_fraction: float = Field(0.1, ge=0, lt=0.5)
    """Share of the channels at each end of the band that is left out of band-averaged gains."""
    beam: Literal["airy", "gaussian", "dsacalib", "none"] = "airy"
    """Power beam that attenuates the sky model of a drift scan."""
    min_model_mjy: float = Field(5.0, ge=0)
    """Catalog sources below this apparent flux are left out of the sky model [mJy]."""
    max_sources: int = Field(300, ge=1)
    """Most sources in the sky model of one member; the brightest (apparent) are taken."""
    spectral_index: float = -0.7
    """Of model sources without one of their own: flux ~ frequency ^ index."""
    short_phase: bool = False
    """Solve phases over ``short_phase_s`` too (``_2gcal``)."""
    short_phase_s: float = Field(60.0, gt=0)
    """Interval of these solutions [s]."""
    bandpass_window_h: float = Field(24.0, gt=0)
    """How far from its transit a bandpass is as good as new [h]; degraded beyond."""
    borrowed_window_d: float = Field(30.0, gt=0)
    """How far from its transit a bandpass may be borrowed at all [d]; failed beyond."""
    bandpass_max_dec_offset_deg: float = Field(1.0, gt=0)
    """Largest distance in apparent declination from the pointing that gave a bandpass [deg]."""
    scan_window_h: float = Field(12.0, gt=0)
    """How far from the first and last calibrator scan their gains may be applied [h]."""
    degraded_gains_flagged: float = Field(0.3, ge=0, le=1)
    """Degraded above this fraction of flagged gains."""
    failed_bandpass_flagged: float = Field(0.5, ge=0, le=1)
    """Failed above this fraction of flagged bandpass solutions of live antennas."""
    failed_phase_scatter_deg: float = Field(30.0, gt=0)
    """Failed above this scatter of bandpass phases from channel to channel [deg]."""


class SolveInfo(StageInfo):
    """What later stages and other groups may rely on; ``<group>_calsel.json`` is the same."""

    mode: str
    """``own``, ``nearest``, ``borrowed`` or ``scans``."""
    calibrator: str
    transit: UtcTime | None = None
    """Of the bandpass; None: not from a transit."""
    dec_deg: float | None = None
    """Apparent declination of the pointing that saw it [deg]."""

    def offer(self) -> OfferKey | None:
        """Return the bandpass that other groups may take: one that was solved here from a transit."""
        if self.mode != "own" or self.transit is None or self.dec_deg is None:
            return None
        valid_s = 3600 * SolveParams().bandpass_window_h
        return OfferKey(key=self.calibrator, at=self.transit, position_deg=self.dec_deg, valid_s=valid_s)


class Calibration(Model):
    """Where the bandpass comes from."""

    mode: Literal["", "own", "nearest", "borrowed", "scans"] = ""
    """Empty: whatever the inputs allow (a stage run by hand)."""
    calibrator: str = ""
    """Empty: the strongest listed one."""
    member: str = ""
    """The observation that holds the transit (``own``)."""
    transit: str = ""
    """UTC of the transit elsewhere (``nearest``, ``borrowed``)."""


class SolveOptions(StageOptions):
    """What was decided for this task (:mod:`contimg_solve.decide`)."""

    calibration: Calibration = Calibration()


SPEC = StageSpec(
    name="solve",
    scope=Scope.GROUP,
    recipe_version=2,
    params=SolveParams,
    makes=(
        DataType(
            name="calibration_table",
            home="calibrated/tables",
            variable="CONTIMG_CALIBRATION_TABLES_DIR",
            workspace="calibration",
            archive="caltables",
            include="caltables",
            retention_days=90,
        ),
    ),
    runner="contimg_solve.stage:Solve",
    recognise="contimg.radio.recognise:calibration_input",
    info=SolveInfo,
    options=SolveOptions,
    decide="contimg_solve.decide:decide",
    wants="contimg_solve.decide:wants",
    time_limit_s=7200.0,
    reference=(Reference(kind="catalog", directory="config/catalogs", variable="CONTIMG_CATALOG_DIR"),),
)
