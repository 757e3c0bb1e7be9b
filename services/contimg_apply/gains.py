"""Calibration tables on the grid of a measurement set: antennas by name, channels by frequency, times interpolated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from casacore.tables import table

from contimg.errors import BadInput
from contimg.radio.coordinates import separation

__all__ = ["Grid", "Table", "chosen_fields", "hours_outside", "interpolate", "read_table", "total_gains"]

_SAME_RAD = np.radians(30 / 3600)


@dataclass(frozen=True)
class Grid:
    """What gains are wanted for."""

    antennas: tuple[str, ...]
    freqs_hz: np.ndarray
    """(chan,)."""
    times_s: np.ndarray
    """(time,) MJD in seconds, ascending."""
    ra_rad: float
    dec_rad: float
    """Phase centre."""


@dataclass(frozen=True)
class Table:
    """Solutions of one table, (slot, chan, receptor, antenna)."""

    gain: np.ndarray
    flag: np.ndarray
    times_s: np.ndarray
    """(slot,)."""
    intervals_s: np.ndarray
    """(slot,)."""
    fields: np.ndarray
    """(slot,) index into ``names`` and ``directions``."""
    names: tuple[str, ...]
    directions: np.ndarray
    """(field, 2) right ascension and declination [rad]."""
    freqs_hz: np.ndarray


def read_table(path: Path, antennas: Sequence[str]) -> Table:
    """Read a complex calibration table; antennas of the measurement set that it lacks are flagged.

    Raises
    ------
    BadInput
        If its rows do not hold every antenna equally often.
    """
    with table(str(path), ack=False) as t:
        wanted = ("TIME", "INTERVAL", "FIELD_ID", "ANTENNA1", "CPARAM", "FLAG")
        columns = {name: np.asarray(t.getcol(name)) for name in wanted}
    own = [str(name) for name in _cells(path, "ANTENNA", "NAME")]
    counts = np.bincount(columns["ANTENNA1"], minlength=len(own))
    slots = int(counts.max(initial=0))
    if slots == 0 or (counts != slots).any():
        raise BadInput(f"calibration table {path} has unequal numbers of rows per antenna; solve it again")
    number = {name: k for k, name in enumerate(own)}
    order = np.argsort(columns["ANTENNA1"], kind="stable").reshape(len(own), slots)
    shape = (slots, *columns["CPARAM"].shape[1:], len(antennas))
    gain, flag = np.ones(shape, np.complex64), np.ones(shape, bool)
    for k, name in enumerate(antennas):
        if name in number:
            gain[..., k] = columns["CPARAM"][order[number[name]]]
            flag[..., k] = columns["FLAG"][order[number[name]]]
    first = order[0]
    return Table(
        gain=gain,
        flag=flag,
        times_s=np.median(columns["TIME"][order], axis=0),
        intervals_s=columns["INTERVAL"][first],
        fields=columns["FIELD_ID"][first],
        names=tuple(str(name) for name in _cells(path, "FIELD", "NAME")),
        directions=np.asarray(_cells(path, "FIELD", "PHASE_DIR"))[:, 0],
        freqs_hz=np.asarray(_cells(path, "SPECTRAL_WINDOW", "CHAN_FREQ"))[0],
    )


def _cells(path: Path, subtable: str, column: str) -> Any:
    with table(f"{path}::{subtable}", ack=False) as opened:
        return opened.getcol(column)


def chosen_fields(found: Table, allowed: Sequence[str], grid: Grid) -> np.ndarray:
    """Return the (slot,) mask of the solutions that belong to a target.

    A recording of a calibrator takes its own solution. Another takes those of the allowed field that is
    nearest on the sky; with none allowed by name, all solutions.
    """
    middle = (grid.times_s[0] + grid.times_s[-1]) / 2
    ra, dec = found.directions.T
    apart = separation(ra, dec, grid.ra_rad, grid.dec_rad)
    during = np.abs(found.times_s - middle) <= np.maximum(found.intervals_s, 1.0) / 2
    own = during & (apart[found.fields] < _SAME_RAD)
    if own.any():
        return np.asarray(found.fields == found.fields[own][0])
    candidates = [k for k, name in enumerate(found.names) if name in set(allowed) and (found.fields == k).any()]
    if not candidates:
        return np.ones(len(found.fields), bool)
    return np.asarray(found.fields == min(candidates, key=lambda k: apart[k]))


def interpolate(found: Table, use: np.ndarray, grid: Grid, how: str) -> tuple[np.ndarray, np.ndarray]:
    """Return gains and flags (time, chan, receptor, antenna) at the times of a grid.

    ``nearest`` takes the solution nearest in time; ``linear`` interpolates amplitude and unwrapped phase apart
    and holds the first and last value outside. Where a solution it needs is flagged, so is the result: all as
    in CASA.
    """
    order = np.flatnonzero(use)[np.argsort(found.times_s[use], kind="stable")]
    gain, flag, times = found.gain[order], found.flag[order], found.times_s[order]
    if how == "nearest":
        near = np.abs(grid.times_s[:, None] - times).argmin(axis=1)
        return gain[near], flag[near]
    after = np.searchsorted(times, grid.times_s)
    low, high = np.clip(after - 1, 0, len(times) - 1), np.clip(after, 0, len(times) - 1)
    part = (grid.times_s - times[low]) / np.where(high > low, times[high] - times[low], 1)
    part = np.where(high > low, part, 0)[:, None, None, None]
    first, last = gain[low], gain[high]
    amplitude = np.abs(first) * (1 - part) + np.abs(last) * part
    phase = np.angle(first) + part * np.angle(last * np.conj(first))
    return (amplitude * np.exp(1j * phase)).astype(np.complex64), flag[low] | flag[high]


def total_gains(parts: Sequence[tuple[Table, np.ndarray, str]], grid: Grid) -> np.ndarray:
    """Return the product of tables (time, chan, receptor, antenna) complex64; 0 where any is flagged.

    Parameters
    ----------
    parts
        Table, mask of its solutions, interpolation in time.
    grid
        Where it is wanted.
    """
    shape = (len(grid.times_s), len(grid.freqs_hz), 2, len(grid.antennas))
    total = np.ones(shape, np.complex64)
    for found, use, how in parts:
        gain, flag = interpolate(found, use, grid, how)
        channels = _channels(found, grid)
        total *= np.where(flag, 0, gain)[:, channels].astype(np.complex64)
    return total


def _channels(found: Table, grid: Grid) -> np.ndarray:
    """Return the table's channel for each channel of the grid."""
    if len(found.freqs_hz) == 1:
        return np.zeros(len(grid.freqs_hz), int)
    index = np.abs(grid.freqs_hz[:, None] - found.freqs_hz).argmin(axis=1)
    width = np.median(np.abs(np.diff(found.freqs_hz)))
    off = float(np.abs(found.freqs_hz[index] - grid.freqs_hz).max())
    if off > 0.5 * width:
        raise BadInput(
            f"bandpass channels are {off / 1e3:.1f} kHz off those of the data (width {width / 1e3:.1f} kHz); "
            "use a table solved with the same channels"
        )
    return np.asarray(index)


def hours_outside(times_s: np.ndarray, valid_mjd: Sequence[float]) -> float:
    """Return by how much the middle of the times lies outside a table's window [h], 0 inside (both inclusive)."""
    middle = (times_s[0] + times_s[-1]) / 2 / 86400
    return float(max(valid_mjd[0] - middle, middle - valid_mjd[1], 0.0) * 24)
