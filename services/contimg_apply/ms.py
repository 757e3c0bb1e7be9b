"""The calibrated copy of a measurement set, written by blocks of rows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from casacore.tables import table

from contimg.errors import BadInput, ResourceExhausted
from contimg_apply.correct import Rows, antenna_noise, clip, correct, noise_sums
from contimg_apply.gains import Grid

__all__ = ["BLOCK_BYTES", "Outcome", "calibrate", "copy", "grid_of"]

BLOCK_BYTES = 128 << 20
"""Bytes of visibilities held at once."""
_RECEPTORS = {5: (0, 0), 6: (0, 1), 7: (1, 0), 8: (1, 1), 9: (0, 0), 10: (0, 1), 11: (1, 0), 12: (1, 1)}
_STALE = ("MODEL_DATA", "CORRECTED_DATA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM")


@dataclass(frozen=True)
class Outcome:
    """What was found while calibrating."""

    flagged: float
    """Fraction of cross-correlations flagged."""
    clipped: float
    """Fraction of cross-correlations flagged by the clip."""
    noise_jy: float | None
    """Median noise of a visibility (real or imaginary part) [Jy]."""


def copy(source: Path, target: Path) -> None:
    """Copy a measurement set, sharing its blocks where the file system can; the copy is writable.

    Raises
    ------
    ResourceExhausted
        If the copy fails, which is nearly always for want of space.
    """
    command = ["cp", "-r", "--reflink=auto", "--no-preserve=mode", str(source.resolve()), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, our paths
    if done.returncode:
        raise ResourceExhausted(f"cannot copy {source} to {target}: {done.stderr.strip()}; make space and try again")
    with table(str(target), readonly=False, ack=False) as opened:
        stale = [name for name in _STALE if name in opened.colnames()]
        if stale:
            opened.removecols(stale)


def _cells(path: Path, subtable: str, column: str) -> Any:
    with table(f"{path}::{subtable}" if subtable else str(path), ack=False) as opened:
        return opened.getcol(column)


def grid_of(path: Path) -> Grid:
    """Return antennas, channels, times and phase centre of a measurement set with one window and one field.

    Raises
    ------
    BadInput
        If it has no rows.
    """
    times = np.unique(_cells(path, "", "TIME"))
    if not len(times):
        raise BadInput(f"{path} has no rows; convert the data again")
    field = int(_cells(path, "", "FIELD_ID")[0])
    direction = np.asarray(_cells(path, "FIELD", "PHASE_DIR"))[field, 0]
    return Grid(
        antennas=tuple(str(name) for name in _cells(path, "ANTENNA", "NAME")),
        freqs_hz=np.asarray(_cells(path, "SPECTRAL_WINDOW", "CHAN_FREQ"))[0],
        times_s=times,
        ra_rad=float(direction[0]),
        dec_rad=float(direction[1]),
    )


def _receptors(path: Path) -> tuple[np.ndarray, np.ndarray]:
    types = [int(t) for t in np.asarray(_cells(path, "POLARIZATION", "CORR_TYPE"))[0]]
    if any(t not in _RECEPTORS for t in types):
        raise BadInput(f"{path}: correlations {types} are not of linear or circular feeds; they cannot be calibrated")
    pairs = np.array([_RECEPTORS[t] for t in types])
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def calibrate(
    path: Path,
    gain: np.ndarray,
    grid: Grid,
    clip_mad: float,
    *,
    report: Callable[[int, int, str], None] = lambda *_: None,
    block_bytes: int = BLOCK_BYTES,
) -> Outcome:
    """Calibrate DATA of a measurement set in place; WEIGHT becomes the inverse variance in Jy^-2.

    Parameters
    ----------
    path
        Writable measurement set.
    gain
        (time, chan, receptor, antenna) complex64 on ``grid``; 0 where there is none.
    clip_mad
        Limit of :func:`~contimg_apply.correct.clip`; 0: no clip.
    """
    receptors = _receptors(path)
    nant, ncorr = len(grid.antennas), len(receptors[0])
    sums = np.zeros((2, nant, nant, ncorr))
    tally = np.zeros(3)  # cross-correlations, flagged, clipped
    with table(str(path), readonly=False, ack=False) as opened:
        rows = opened.nrows()
        step = max(1, block_bytes // opened.getcell("DATA", 0).nbytes)
        power = np.zeros((rows, ncorr), np.float32)
        for start in range(0, rows, step):
            part = slice(start, min(start + step, rows))
            power[part] = _block(opened, part, gain, grid, receptors, clip_mad, tally, sums)
            report(part.stop, rows, "rows calibrated")
        noise = _put_weights(opened, power, antenna_noise(*sums))
    return Outcome(tally[1] / max(tally[0], 1), tally[2] / max(tally[0], 1), noise)


def _block(
    opened: Any,
    part: slice,
    gain: np.ndarray,
    grid: Grid,
    receptors: tuple[np.ndarray, np.ndarray],
    clip_mad: float,
    tally: np.ndarray,
    sums: np.ndarray,
) -> np.ndarray:
    """Calibrate some rows; return the mean power of their gains (row, corr) over channels that are not flagged."""
    count = part.stop - part.start

    def column(name: str) -> np.ndarray:
        return np.asarray(opened.getcol(name, part.start, count))

    vis, flag = column("DATA"), column("FLAG") | column("FLAG_ROW")[:, None, None]
    ant1, ant2 = column("ANTENNA1").astype(np.int64), column("ANTENNA2").astype(np.int64)
    rows = Rows(ant1, ant2, np.searchsorted(grid.times_s, column("TIME")).astype(np.int64), *receptors)
    power = correct(vis, flag, gain, rows)
    clipped = clip(vis, flag, power, clip_mad) if clip_mad > 0 else 0
    sums += noise_sums(vis, flag, power, column("WEIGHT"), rows, len(grid.antennas))
    opened.putcol("DATA", vis, part.start, count)
    opened.putcol("FLAG", flag, part.start, count)
    cross = flag[ant1 != ant2]
    tally += [cross.size, cross.sum(), clipped]
    return np.asarray((power * ~flag).sum(axis=1) / np.maximum((~flag).sum(axis=1), 1))


def _put_weights(opened: Any, power: np.ndarray, factors: np.ndarray) -> float | None:
    """Write WEIGHT and SIGMA from the old weights, the mean gains and the noise; return the median noise [Jy]."""
    weight = np.asarray(opened.getcol("WEIGHT"))
    ant1, ant2 = np.asarray(opened.getcol("ANTENNA1")), np.asarray(opened.getcol("ANTENNA2"))
    weight = (weight * power / (factors[ant1] * factors[ant2])).astype(np.float32)
    weight[~np.isfinite(weight)] = 0
    sigma = np.where(weight > 0, 1 / np.sqrt(np.maximum(weight, 1e-30)), 0).astype(np.float32)
    opened.putcol("WEIGHT", weight)
    opened.putcol("SIGMA", sigma)
    good = sigma[(ant1 != ant2)[:, None] & (sigma > 0)]
    return float(np.median(good)) if good.size else None
