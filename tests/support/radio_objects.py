"""Recordings and calibration tables that exist in memory only."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contimg.radio.caltable import CalTable, Field
from contimg.radio.ms.read import Recording

__all__ = ["caltable_of", "recording_of"]


def recording_of(freqs_hz=(1.4e9,), times_s=(100.0, 110.0, 120.0), antennas=("1", "2"), **changes):
    """Return a recording of a VLA at RA 0, Dec 0; right ascension may be given in degrees as ``ra_deg``."""
    values = {
        "path": Path("a.ms"),
        "unit": "a",
        "antennas": tuple(antennas),
        "positions_m": np.zeros((len(antennas), 3)),
        "freqs_hz": np.asarray(freqs_hz, float),
        "width_hz": 1e6,
        "times_s": np.asarray(times_s, float),
        "interval_s": 10.0,
        "field_id": 0,
        "ra_rad": np.radians(changes.pop("ra_deg", 0.0)),
        "dec_rad": 0.0,
        "source": "",
        "telescope": "VLA",
        "corr_types": (5, 8),
    }
    return Recording(**(values | changes))


def caltable_of(gain, times_s, flag=None, slot_fields=None, ra_deg=(0.0,), freqs_hz=(1.4e9,), length_s=20.0):
    """Return a table whose fields ``a``, ``b``, … lie at declination 0 and the given right ascensions."""
    gain = np.asarray(gain, np.complex64)
    slots = np.zeros(len(gain), np.int32) if slot_fields is None else np.asarray(slot_fields, np.int32)
    return CalTable(
        antennas=tuple(str(k + 1) for k in range(gain.shape[3])),
        gain=gain,
        flag=np.zeros(gain.shape, bool) if flag is None else flag,
        snr=np.ones(gain.shape, np.float32),
        times_s=np.asarray(times_s, float),
        intervals_s=np.full(len(gain), length_s),
        slot_fields=slots,
        fields=tuple(Field("abcdef"[k], float(np.radians(ra)), 0.0) for k, ra in enumerate(ra_deg)),
        freqs_hz=np.asarray(freqs_hz, float),
    )
