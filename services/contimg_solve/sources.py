"""Which listed calibrator a recording points at, and its flux."""

from __future__ import annotations

import numpy as np

from contimg.errors import BadConfig
from contimg.radio.calibrators import LIST_FREQ_HZ, calibrators, find
from contimg.radio.caltable import Field
from contimg.radio.coordinates import separation
from contimg.radio.fluxscale import is_primary, perley_butler_2017
from contimg.radio.ms.read import Recording

__all__ = ["flux_jy", "identify", "is_listed"]

_SAME_RAD = np.radians(30 / 3600)


def identify(recording: Recording) -> Field:
    """Return the calibrator at the phase centre under its list name: by position (30 arcsec), else by name.

    A source that is in no list keeps its own name.
    """
    known = calibrators()
    ra, dec = np.radians([(c.ra_deg, c.dec_deg) for c in known]).T
    apart = separation(ra, dec, recording.ra_rad, recording.dec_rad)
    best = int(np.argmin(apart))
    name = known[best].name if apart[best] < _SAME_RAD else _by_name(recording.source)
    return Field(name, recording.ra_rad, recording.dec_rad)


def is_listed(recording: Recording) -> bool:
    """Tell whether a recording points at a listed calibrator."""
    name = identify(recording).name
    return any(calibrator.name == name for calibrator in calibrators())


def _by_name(source: str) -> str:
    try:
        return find(source).name
    except BadConfig:
        return source


def flux_jy(name: str, freqs_hz: np.ndarray, spectral_index: float) -> np.ndarray:
    """Return the flux of a listed calibrator (chan,) [Jy].

    Perley-Butler 2017 for its sources; else the 20 cm flux of the list with the given spectral index.
    """
    if is_primary(name):
        return np.asarray(perley_butler_2017(name, freqs_hz))
    return np.asarray(find(name).flux_jy * (freqs_hz / LIST_FREQ_HZ) ** spectral_index)
