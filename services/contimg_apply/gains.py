"""Calibration tables on the grid of a measurement set: antennas by name, channels by frequency, times interpolated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contimg.errors import BadInput
from contimg.radio.caltable import CalTable
from contimg.radio.coordinates import separation
from contimg.radio.ms.read import Recording

__all__ = ["chosen_fields", "hours_outside", "interpolate", "total_gains"]

_SAME_RAD = np.radians(30 / 3600)


def chosen_fields(found: CalTable, allowed: Sequence[str], recording: Recording) -> np.ndarray:
    """Return the (slot,) mask of the solutions that belong to a target.

    A recording of a calibrator takes its own solution. Another takes those of the allowed field that is
    nearest on the sky; with none allowed by name, all solutions.
    """
    middle = (recording.times_s[0] + recording.times_s[-1]) / 2
    ra, dec = np.array([(place.ra_rad, place.dec_rad) for place in found.fields]).T
    apart = separation(ra, dec, recording.ra_rad, recording.dec_rad)
    during = np.abs(found.times_s - middle) <= np.maximum(found.intervals_s, 1.0) / 2
    own = during & (apart[found.slot_fields] < _SAME_RAD)
    if own.any():
        return np.asarray(found.slot_fields == found.slot_fields[own][0])
    there = set(found.slot_fields.tolist())
    candidates = [k for k, place in enumerate(found.fields) if place.name in set(allowed) and k in there]
    if not candidates:
        return np.ones(len(found.slot_fields), bool)
    return np.asarray(found.slot_fields == min(candidates, key=lambda k: apart[k]))


def interpolate(found: CalTable, use: np.ndarray, recording: Recording, how: str) -> tuple[np.ndarray, np.ndarray]:
    """Return gains [sqrt(counts/Jy)] and flags (time, chan, receptor, antenna) at the times of a recording.

    ``nearest`` takes the solution nearest in time; ``linear`` interpolates amplitude and unwrapped phase apart
    and holds the first and last value outside. Where a solution it needs is flagged, so is the result: all as
    in CASA.
    """
    order = np.flatnonzero(use)[np.argsort(found.times_s[use], kind="stable")]
    gain, flag, times = found.gain[order], found.flag[order], found.times_s[order]
    if how == "nearest":
        near = np.abs(recording.times_s[:, None] - times).argmin(axis=1)
        return gain[near], flag[near]
    after = np.searchsorted(times, recording.times_s)
    low, high = np.clip(after - 1, 0, len(times) - 1), np.clip(after, 0, len(times) - 1)
    part = (recording.times_s - times[low]) / np.where(high > low, times[high] - times[low], 1)
    part = np.where(high > low, part, 0)[:, None, None, None]
    first, last = gain[low], gain[high]
    amplitude = np.abs(first) * (1 - part) + np.abs(last) * part
    phase = np.angle(first) + part * np.angle(last * np.conj(first))
    return (amplitude * np.exp(1j * phase)).astype(np.complex64), flag[low] | flag[high]


def total_gains(parts: Sequence[tuple[CalTable, np.ndarray, str]], recording: Recording) -> np.ndarray:
    """Return the product of tables (time, chan, receptor, antenna) complex64; 0 where any is flagged.

    Parameters
    ----------
    parts
        Table, mask of its solutions, interpolation in time.
    recording
        Where it is wanted.
    """
    shape = (len(recording.times_s), len(recording.freqs_hz), 2, len(recording.antennas))
    total = np.ones(shape, np.complex64)
    for found, use, how in parts:
        gain, flag = interpolate(found, use, recording, how)
        channels = _channels(found, recording)
        total *= np.where(flag, 0, gain)[:, channels].astype(np.complex64)
    return total


def _channels(found: CalTable, recording: Recording) -> np.ndarray:
    """Return the table's channel for each channel of the recording."""
    if len(found.freqs_hz) == 1:
        return np.zeros(len(recording.freqs_hz), int)
    index = np.abs(recording.freqs_hz[:, None] - found.freqs_hz).argmin(axis=1)
    width = np.median(np.abs(np.diff(found.freqs_hz)))
    off = float(np.abs(found.freqs_hz[index] - recording.freqs_hz).max())
    if off > 0.5 * width:
        raise BadInput(
            f"bandpass channels are {off / 1e3:.1f} kHz off those of the data (width {width / 1e3:.1f} kHz); "
            "use a table solved with the same channels"
        )
    return np.asarray(index)


def hours_outside(times_s: np.ndarray, valid_mjd: Sequence[float]) -> float:
    """Return by how much the middle of the times, shape (T,) [s], lies outside a window [MJD], in hours; 0: inside."""
    middle = (times_s[0] + times_s[-1]) / 2 / 86400
    return float(max(valid_mjd[0] - middle, middle - valid_mjd[1], 0.0) * 24)
