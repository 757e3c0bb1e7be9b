"""When a file set counts as complete, and the one exception that sends a file to quarantine."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from contimg.errors import BadInput
from contimg.models.base import Model

__all__ = ["IngestPolicy", "Reason", "Refused"]


class Reason(StrEnum):
    """Why a raw file is quarantined."""

    EMPTY = "empty"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    WRONG_SHAPE = "wrong-shape"
    WRONG_FREQUENCY = "wrong-frequency"
    MIXED_DEC = "mixed-dec"
    UNLIKE_DUPLICATE = "unlike-duplicate"
    IDENTICAL_DUPLICATE = "identical-duplicate"
    UNKNOWN_TELESCOPE = "unknown-telescope"
    LATE = "late"


class Refused(BadInput):
    """A raw file that cannot be used; carries the word for its quarantine record."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class IngestPolicy(Model):
    """Rules of a file set; the survey's ``fileSets`` sets the first three."""

    expect: int = Field(16, ge=1)
    """Subband files a full set has."""
    min: int = Field(16, ge=1)
    """Subband files that suffice at the deadline."""
    deadline_s: float = Field(900.0, ge=0)
    """Time after the arrival of its last file at which a set becomes final, in seconds."""
    settle_s: float = Field(30.0, ge=0)
    """A file untouched for so long has arrived, in seconds."""
    name_tolerance_s: float = Field(120.0, ge=0)
    """Spread of the stamps in the names of one set above which the record carries a warning, in seconds."""
    dec_tolerance_deg: float = Field(0.01, gt=0)
    """Largest difference of the pointing declination inside a file set, in degrees."""
    scan_gap_s: float = Field(300.0, gt=0)
    """A longer pause between integrations starts a new scan of a pointed array, in seconds."""
