"""What ingest knows about one contiguous recording."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from contimg.limits import RECORDING_S
from contimg.models.base import Model, ObservationId, UtcTime, Word, date_of
from contimg.models.quality import Figure

__all__ = [
    "CalibratorTransit",
    "Description",
    "ObservationRecord",
    "ObservationState",
    "QuarantineRecord",
    "RawFile",
    "Role",
]


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


class RawFile(Model):
    """One raw file of a file set."""

    path: str
    """Relative to one of the incoming directories, or absolute when it lies elsewhere."""
    root: Annotated[int, Field(ge=0)] = 0
    """Which of the incoming directories, counted from 0."""
    role: str
    """What it holds of the recording, e.g. ``sb00`` or ``scan-3``."""
    bytes: Annotated[int, Field(ge=0)]
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


class Description(Model):
    """What an instrument says about one recording."""

    id: ObservationId
    """Opaque outside its instrument."""
    start: UtcTime
    """Start of the first integration."""
    end: UtcTime
    """End of the last integration."""
    integrations: Annotated[int, Field(ge=0, le=100_000_000)]
    integration_s: Annotated[float, Field(gt=0, le=RECORDING_S, allow_inf_nan=False)]
    ra_deg: Annotated[float, Field(ge=-360, le=360)]
    """Right ascension of the pointing at mid-time, in degrees."""
    dec_deg: Annotated[float, Field(ge=-90, le=90)]
    """Apparent declination of the pointing, in degrees: it does not move while the telescope does not."""
    role: Role = Role.TARGET
    source: str = ""
    scan: int = 0
    """Scan number inside a file that holds several, counted from 1; 0 if the file is one recording."""
    calibrators: tuple[CalibratorTransit, ...] = ()
    """Calibrators that transit inside this recording."""
    next_transits: tuple[CalibratorTransit, ...] = ()
    """The next transit of each usable calibrator of this declination after the recording (within a day)."""
    figures: tuple[Figure, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 <= (self.end - self.start).total_seconds() <= RECORDING_S:
            msg = f"recording {self.id} lasts from {self.start} to {self.end}; at most {RECORDING_S:g} s are understood"
            raise ValueError(msg)
        return self

    @property
    def date(self) -> str:
        """UTC date of the start, ``YYYY-MM-DD``: records and products lie under it."""
        return date_of(self.start)


class ObservationRecord(Description):
    """``state/observations/<date>/<id>.json``; the truth about one recording."""

    instrument: Word
    """The instrument that recorded it."""
    state: ObservationState
    files: tuple[RawFile, ...]
    digest: str
    """sha256 over the digests of the files in order: the raw file set's share of a recipe."""
    bytes: Annotated[int, Field(ge=0)]
    expected: Annotated[int, Field(ge=1)] = 1
    """Files a full set has."""
    sealed_at: UtcTime
    reasons: tuple[str, ...] = ()
    """Why it is incomplete, in sentences; warnings otherwise."""


class QuarantineRecord(Model):
    """``state/quarantine/<date>/<file name>.json``: a raw file that is not used."""

    path: str
    instrument: str = ""
    """Whose file it is; empty: nobody could tell."""
    reason: str
    """One word; each instrument may have its own."""
    sentence: str
    size: Annotated[int, Field(ge=0)]
    mtime_ns: int
    """With the size, the state of the file that was judged; a file that changed is judged anew."""
    time: UtcTime
    """When it was refused."""
