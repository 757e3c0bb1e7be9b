"""What ingest knows about one contiguous recording."""

from __future__ import annotations

from enum import StrEnum

from contimg.models.base import Model, UtcTime
from contimg.models.quality import Figure

__all__ = ["CalibratorTransit", "FileState", "ObservationRecord", "ObservationState", "RawFile", "Role"]


class Role(StrEnum):
    """Why a recording was made."""

    TARGET = "target"
    BANDPASS = "bandpass"
    GAIN = "gain"
    FLUX = "flux"


class ObservationState(StrEnum):
    """Sealed ones are used; incomplete ones are final and never used."""

    SEALED = "sealed"
    INCOMPLETE = "incomplete"


class FileState(StrEnum):
    """What became of one raw file."""

    USED = "used"
    QUARANTINED = "quarantined"


class RawFile(Model):
    """One raw file of a file set."""

    path: str
    """Relative to ``incoming/``, or absolute when it lies elsewhere."""
    role: str
    """``sb00`` … ``sb15``, or the scan of a larger file: ``scan-3``."""
    bytes: int
    digest: str
    """sha256 over role, size, and the first and last MiB."""


class CalibratorTransit(Model):
    """A listed calibrator that crosses the meridian of this pointing."""

    name: str
    ra_deg: float
    dec_deg: float
    flux_jy: float
    """Catalogue flux at the middle of the band."""
    apparent_flux_jy: float
    """Attenuated by the beam at the transit."""
    transit: UtcTime
    """Apparent place on the meridian at the official site position."""


class ObservationRecord(Model):
    """``state/observations/<date>/<id>.json``; the truth about one recording."""

    id: str
    """UTC start of the first integration to the nearest second, ``2026-01-25T22:26:00``."""
    telescope: str
    """Key of ``contimg.radio.telescopes``: ``dsa110``, ``vla``."""
    state: ObservationState
    start: UtcTime
    """Start of the first integration."""
    end: UtcTime
    """End of the last integration."""
    integrations: int
    integration_s: float
    ra_deg: float
    """ICRS right ascension of the phase centre, or of the meridian at mid-time."""
    dec_deg: float
    """ICRS declination of the same."""
    files: tuple[RawFile, ...]
    digest: str
    """sha256 over the digests of the files in order: the raw file set's share of a recipe."""
    bytes: int
    expected: int = 1
    """Files a full set has (16 for DSA-110)."""
    role: Role = Role.TARGET
    source: str = ""
    scan: int = 0
    """Scan number inside a file that holds several, counted from 1; 0 if the file is one recording."""
    sealed_at: UtcTime
    calibrators: tuple[CalibratorTransit, ...] = ()
    """Calibrators that transit inside this recording."""
    next_transits: tuple[CalibratorTransit, ...] = ()
    """The next transit of each usable calibrator of this declination after the recording (within a day)."""
    reasons: tuple[str, ...] = ()
    """Why it is incomplete, in sentences; warnings otherwise."""
    figures: tuple[Figure, ...] = ()
