"""Reading measurement sets by blocks of rows, with antennas numbered by name across all of a group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from casacore.tables import table

from contimg.errors import BadInput

__all__ = ["BLOCK_BYTES", "Block", "Recording", "antenna_names", "blocks", "check_channels", "open_recording"]

BLOCK_BYTES = 128 << 20
"""Bytes of visibilities held at once."""
_HANDS = ({5: 0, 8: 1}, {9: 0, 12: 1})  # RR LL, XX YY: correlation type -> receptor


@dataclass(frozen=True)
class Recording:
    """What the subtables of one measurement set say."""

    path: Path
    unit: str
    """Observation id."""
    antennas: tuple[str, ...]
    """Names in the order of the ANTENNA table."""
    freqs_hz: np.ndarray
    """(chan,) ascending, evenly spaced."""
    times_s: np.ndarray
    """(time,) centres of the integrations, MJD in seconds."""
    interval_s: float
    ra_rad: float
    dec_rad: float
    """Phase centre, ICRS."""
    source: str
    telescope: str
    """As CASA names it."""
    hands: tuple[int, ...]
    """Correlations with parallel hands, by receptor."""

    @cached_property
    def mid_s(self) -> float:
        """Middle of the recording, MJD in seconds."""
        return float(self.times_s[0] + self.times_s[-1]) / 2

    @property
    def length_s(self) -> float:
        """From the start of the first integration to the end of the last."""
        return float(self.times_s[-1] - self.times_s[0]) + self.interval_s


@dataclass(frozen=True)
class Block:
    """Some rows of a recording, parallel hands only."""

    vis: np.ndarray
    """(row, chan, hand) complex64."""
    flag: np.ndarray
    """(row, chan, hand) bool."""
    weight: np.ndarray
    """(row, hand) float32."""
    ant1: np.ndarray
    ant2: np.ndarray
    """(row,) int64, numbers in the group's list of antennas."""
    time: np.ndarray
    """(row,) int64, index into ``times_s``."""
    uvw: np.ndarray
    """(row, 3) float64, metres."""


def _column(path: str, column: str) -> np.ndarray:
    with table(path, ack=False) as opened:
        return np.asarray(opened.getcol(column))


def open_recording(path: Path, unit: str = "") -> Recording:
    """Read the subtables of a measurement set with one spectral window and one field.

    Raises
    ------
    BadInput
        If it has several, has no parallel hands, or its channels are not evenly spaced.
    """
    freqs = _column(f"{path}::SPECTRAL_WINDOW", "CHAN_FREQ")
    used = np.unique(_column(str(path), "FIELD_ID"))
    if len(freqs) != 1 or len(used) != 1:
        raise BadInput(
            f"{path} has {len(freqs)} spectral windows and data of {len(used)} fields, must have one of each"
        )
    direction = _column(f"{path}::FIELD", "PHASE_DIR")[used[0], 0]
    step = np.diff(freqs[0])
    if len(step) and (step.min() <= 0 or np.ptp(step) > 1e-3 * step.mean()):
        raise BadInput(f"{path}: CHAN_FREQ is not ascending in even steps; convert the data again")
    times = np.unique(_column(str(path), "TIME"))
    return Recording(
        path=path,
        unit=unit or path.name.removesuffix(".ms"),
        antennas=tuple(str(n) for n in _column(f"{path}::ANTENNA", "NAME")),
        freqs_hz=freqs[0],
        times_s=times,
        interval_s=float(np.median(_column(str(path), "INTERVAL"))),
        ra_rad=float(direction[0]),
        dec_rad=float(direction[1]),
        source=str(_column(f"{path}::FIELD", "NAME")[used[0]]),
        telescope=str(_column(f"{path}::OBSERVATION", "TELESCOPE_NAME")[0]),
        hands=_parallel_hands(path),
    )


def _parallel_hands(path: Path) -> tuple[int, ...]:
    types = [int(t) for t in _column(f"{path}::POLARIZATION", "CORR_TYPE")[0]]
    for receptors in _HANDS:
        found = [types.index(t) for t in receptors if t in types]
        if len(found) == len(receptors):
            return tuple(found)
    raise BadInput(f"{path}: correlations {types} lack RR and LL or XX and YY; two parallel hands are needed")


def check_channels(recordings: Sequence[Recording]) -> None:
    """Check that all recordings have the same channels and hands.

    Raises
    ------
    BadInput
        If one differs from the first.
    """
    first = recordings[0].freqs_hz
    for other in recordings[1:]:
        freqs = other.freqs_hz
        if len(freqs) != len(first) or np.abs(freqs - first).max() > 0.01 * abs(first[-1] - first[0]) / len(first):
            raise BadInput(
                f"{other.path} has {len(freqs)} channels from {freqs[0] / 1e6:.3f} MHz, {recordings[0].path.name} has "
                f"{len(first)} from {first[0] / 1e6:.3f} MHz; put them into different groups"
            )


def antenna_names(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Return the names of all antennas, those of the first recording in its order first."""
    return tuple(dict.fromkeys(name for r in recordings for name in r.antennas if name))


def blocks(recording: Recording, names: Sequence[str], block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the rows of a recording in order, so many at once that DATA takes ``block_bytes``."""
    number = {name: k for k, name in enumerate(names)}
    lookup = np.array([number.get(name, -1) for name in recording.antennas])
    with table(str(recording.path), ack=False) as opened:
        if not opened.nrows():
            return
        cell = opened.getcell("DATA", 0).nbytes
        step = max(1, block_bytes // cell)
        for start in range(0, opened.nrows(), step):
            yield _block(opened, start, min(step, opened.nrows() - start), recording, lookup)


def _block(opened: table, start: int, count: int, recording: Recording, lookup: np.ndarray) -> Block:
    def column(name: str) -> np.ndarray:
        return np.asarray(opened.getcol(name, start, count))

    vis, flag, weight = column("DATA"), column("FLAG"), column("WEIGHT")
    if vis.shape[-1] != len(recording.hands):
        hands = list(recording.hands)
        vis, flag, weight = (np.ascontiguousarray(x[..., hands]) for x in (vis, flag, weight))
    flag |= column("FLAG_ROW")[:, None, None]
    return Block(
        vis=vis,
        flag=flag,
        weight=weight.astype(np.float32),
        ant1=lookup[column("ANTENNA1")],
        ant2=lookup[column("ANTENNA2")],
        time=np.searchsorted(recording.times_s, column("TIME")).astype(np.int64),
        uvw=column("UVW"),
    )
