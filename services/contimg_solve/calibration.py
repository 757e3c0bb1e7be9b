"""What a strategy hands to the stage: solutions and what was found on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from contimg.radio.caltable import Field
from contimg_solve.solution import Solution

__all__ = ["Calibration", "Flux"]


@dataclass(frozen=True)
class Flux:
    """A flux that was measured, not given."""

    flux_jy: float
    error_jy: float
    """Standard error over antennas and hands."""
    solutions: int


@dataclass(frozen=True)
class Calibration:
    """Solutions of a group."""

    names: tuple[str, ...]
    """Antennas."""
    reference: str
    """Reference antenna."""
    bandpass: Solution
    gains: Solution
    gains_flagged: float | None
    """Fraction of gains that failed; None: they were not solved."""
    fields: tuple[Field, ...]
    calibrator: Field
    """The one that sets the flux scale."""
    model_jy: float
    """Its model flux averaged over time and band, apparent."""
    fluxes: dict[str, Flux] = field(default_factory=dict)
    short: Solution | None = None
    """Phases over short intervals."""
    age_h: float | None = None
    """From the transit that gave the bandpass to the middle of the group [h]; None: not from a transit."""
    weak: tuple[str, ...] = ()
    """Members whose gains failed and were set to 1."""
