"""What was simulated: written beside the files as ``truth.json``."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from contimg.instruments.dsa110.simulate.config import SimulationConfig, Source
from contimg.models.base import Model, UtcTime

__all__ = ["RfiEvent", "Truth", "TruthFile", "TruthObservation"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RfiEvent:
    """One transmitter in one observation."""

    kind: str
    """``narrow`` or ``burst``."""
    channel: int
    """First channel, counted from the first of sb00 down the band."""
    channels: int
    integrations: tuple[int, ...]
    flux_jy: float
    """In every product of two antennas, before the gains [Jy]."""
    azimuth_deg: float


class TruthFile(Model):
    """One file as written."""

    name: str
    """Relative to the directory of ``truth.json``."""
    subband: int
    sha256: str
    kind: str = "plain"
    """``plain``, ``late``, ``duplicate`` or ``unlike``."""


class TruthObservation(Model):
    """One recording."""

    id: str
    """UTC start of the first integration to the nearest second."""
    start: UtcTime
    end: UtcTime
    times_jd: tuple[float, ...]
    """Centres of the integrations, UTC."""
    files: tuple[TruthFile, ...]
    missing_subbands: tuple[int, ...]
    dropouts: tuple[tuple[int, int], ...]
    """Subband and integration of zeros."""
    rfi: tuple[RfiEvent, ...]


class Truth(Model):
    """Everything that went in."""

    telescope: str = "dsa110"
    reference_hz: float
    """Where flux densities of the sources hold [Hz]."""
    config: SimulationConfig
    sources: tuple[Source, ...]
    stations: tuple[int, ...]
    freq_hz: tuple[tuple[float, ...], ...]
    """Channel centres by subband, descending [Hz]."""
    noise_jy: float
    """Standard deviation of the real part of one cross-correlation, before the gains [Jy]."""
    thermal_jy: float
    """Noise of a naturally weighted Stokes I image of one observation with every antenna alive [Jy/beam]."""
    beam_fwhm_arcsec: float
    """Diameter of the main lobe at half power for one snapshot, Briggs 0 [arcsec]."""
    gains: str = "gains.npz"
    """Arrays ``bandpass`` (A, 2, F), ``drift`` (O, A, 2), ``stations`` (A,), ``freq_hz`` (F,); g = bandpass * drift,
    V_ij = g_i conj(g_j) V in the sense of a measurement set."""
    catalog: str = "catalog.ecsv"
    """The sources as a reference catalogue."""
    observations: tuple[TruthObservation, ...]
