"""Reading measurement sets with one spectral window and one field: what the subtables say, and blocks of rows.

Nothing is locked, so that committed ones, which are read-only, are read as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, SkyCoord
from casacore.tables import table
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.radio.visibilities import CORR_LETTERS

__all__ = ["BLOCK_BYTES", "Block", "Recording", "blocks", "blocks_of", "open_recording", "opened"]

BLOCK_BYTES = 128 << 20
"""Bytes of visibilities held at once."""
_HANDS = (("RR", "LL"), ("XX", "YY"))
_COLUMNS = ("DATA", "FLAG", "FLAG_ROW", "WEIGHT", "UVW", "TIME", "ANTENNA1", "ANTENNA2")


@dataclass(frozen=True)
class Recording:
    """What one measurement set says beside its visibilities."""

    path: Path
    unit: str
    """Observation id."""
    antennas: tuple[str, ...]
    """Names in the order of the ANTENNA table."""
    positions_m: NDArray[np.float64]
    """Of the antennas, ITRF, shape (A, 3)."""
    freqs_hz: NDArray[np.float64]
    """Shape (C,), ascending, evenly spaced."""
    width_hz: float
    """Of one channel."""
    times_s: NDArray[np.float64]
    """Shape (T,): centres of the integrations, MJD in seconds."""
    interval_s: float
    field_id: int
    ra_rad: float
    dec_rad: float
    """Phase centre, ICRS."""
    source: str
    telescope: str
    """As CASA names it."""
    corr_types: tuple[int, ...]
    """casacore's ``Stokes`` numbers, keys of ``CORR_LETTERS``."""

    @property
    def mid_s(self) -> float:
        """Middle of the recording, MJD in seconds."""
        return float(self.times_s[0] + self.times_s[-1]) / 2

    @property
    def length_s(self) -> float:
        """From the start of the first integration to the end of the last."""
        return float(self.times_s[-1] - self.times_s[0]) + self.interval_s

    @property
    def hands(self) -> tuple[int, ...]:
        """Correlations with parallel hands, by receptor.

        Raises
        ------
        BadInput
            If there are not two.
        """
        letters = [CORR_LETTERS[kind] for kind in self.corr_types]
        for wanted in _HANDS:
            if set(wanted) <= set(letters):
                return tuple(letters.index(hand) for hand in wanted)
        text = f"{self.path}: correlations {letters} lack RR and LL or XX and YY"
        raise BadInput(f"{text}; two parallel hands are needed")

    @property
    def receptors(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Receptors (pure numbers, 0 or 1) of the first and second antenna by correlation, shape (P,) each."""
        pairs = [[0 if receptor in "XR" else 1 for receptor in CORR_LETTERS[kind]] for kind in self.corr_types]
        first, second = np.array(pairs, np.int64).T.copy()
        return first, second


@dataclass(frozen=True)
class Block:
    """Some rows of a recording, all correlations; R rows, C channels, P correlations."""

    start: int
    """Number of the first row."""
    rows: int
    """Of all blocks."""
    vis: NDArray[np.complex64]
    """Shape (R, C, P)."""
    flag: NDArray[np.bool_]
    """Shape (R, C, P), those of whole rows included."""
    weight: NDArray[np.float32]
    """Shape (R, 1, P), or (R, C, P) where the measurement set has a weight per channel."""
    ant1: NDArray[np.int32]
    ant2: NDArray[np.int32]
    """Shape (R,), index into ``antennas``."""
    time: NDArray[np.int64]
    """Shape (R,), index into ``times_s``."""
    uvw: NDArray[np.float64]
    """Shape (R, 3), metres."""


def opened(path: Path) -> AbstractContextManager[Any]:
    """Open a table for reading without a lock."""
    return closing(table(str(path), ack=False, lockoptions="usernoread"))


def _column(path: Path, name: str) -> Any:
    with opened(path) as found:
        return found.getcol(name)


def open_recording(path: Path, unit: str = "") -> Recording:
    """Read the subtables of a measurement set.

    Parameters
    ----------
    path
        Its directory.
    unit
        Observation id; without, the name of the directory.

    Raises
    ------
    BadInput
        If it is no measurement set, has no rows or several windows or fields, correlations that are not of two feeds,
        channels that are not in even steps, or a phase centre that is neither ICRS nor J2000.
    """
    if not (path / "table.dat").is_file():
        raise BadInput(f"{path} is no measurement set: it has no table.dat; run the stage that makes it again")
    used = np.unique(_column(path, "FIELD_ID"))
    freqs, width = _channels(path, len(used))
    ra, dec = _phase_centre(path, int(used[0]))
    return Recording(
        path=path,
        unit=unit or path.name.removesuffix(".ms"),
        antennas=tuple(str(name) for name in _column(path / "ANTENNA", "NAME")),
        positions_m=np.asarray(_column(path / "ANTENNA", "POSITION")),
        freqs_hz=freqs,
        width_hz=width,
        times_s=np.unique(_column(path, "TIME")),
        interval_s=float(np.median(_column(path, "INTERVAL"))),
        field_id=int(used[0]),
        ra_rad=ra,
        dec_rad=dec,
        source=str(_column(path / "FIELD", "NAME")[used[0]]),
        telescope=str(_column(path / "OBSERVATION", "TELESCOPE_NAME")[0]),
        corr_types=_correlations(path),
    )


def _channels(path: Path, fields: int) -> tuple[NDArray[np.float64], float]:
    with opened(path / "SPECTRAL_WINDOW") as found:
        if found.nrows() != 1 or fields != 1:
            raise BadInput(
                f"{path} has {found.nrows()} spectral windows and data of {fields} fields, must have one of each"
            )
        freqs, widths = np.asarray(found.getcell("CHAN_FREQ", 0)), found.getcell("CHAN_WIDTH", 0)
    step = np.diff(freqs)
    if len(step) and (step.min() <= 0 or np.ptp(step) > 1e-3 * step.mean()):
        raise BadInput(f"{path}: CHAN_FREQ is not ascending in even steps; convert the data again")
    return freqs, float(abs(widths[0]))


def _phase_centre(path: Path, row: int) -> tuple[float, float]:
    """Return the phase centre as ICRS [rad]; a J2000 (FK5) one is turned."""
    with opened(path / "FIELD") as found:
        ra, dec = np.asarray(found.getcell("PHASE_DIR", row)).reshape(-1)[:2]
        frame = str(found.getcolkeyword("PHASE_DIR", "MEASINFO").get("Ref", "J2000"))
    if frame == "ICRS":
        return float(ra), float(dec)
    if frame != "J2000":
        raise BadInput(f"{path}/FIELD gives PHASE_DIR in {frame}, it must be ICRS or J2000; convert it anew")
    place = SkyCoord(ra * u.rad, dec * u.rad, frame="fk5").transform_to(ICRS())
    return float(place.ra.rad), float(place.dec.rad)


def _correlations(path: Path) -> tuple[int, ...]:
    types = tuple(int(kind) for kind in np.asarray(_column(path / "POLARIZATION", "CORR_TYPE"))[0])
    if any(kind not in CORR_LETTERS for kind in types):
        raise BadInput(f"{path}: correlations {list(types)} are not of linear or circular feeds; convert them first")
    return types


def blocks(recording: Recording, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the rows of a recording in order, so many at once that DATA takes ``block_bytes``.

    Raises
    ------
    BadInput
        If a column is missing.
    """
    with opened(recording.path) as found:
        yield from blocks_of(found, recording, block_bytes)


def blocks_of(found: Any, recording: Recording, block_bytes: int) -> Iterator[Block]:
    """Yield the rows of an open measurement set, see `blocks`."""
    missing = [name for name in _COLUMNS if name not in found.colnames()]
    if missing:
        raise BadInput(f"{recording.path} lacks column {missing[0]}; run the stage that makes it again")
    step = max(1, block_bytes // found.getcell("DATA", 0).nbytes)
    spectrum = "WEIGHT_SPECTRUM" in found.colnames() and found.iscelldefined("WEIGHT_SPECTRUM", 0)
    for start in range(0, found.nrows(), step):
        yield _block(found, start, min(step, found.nrows() - start), recording, spectrum)


def _block(found: Any, start: int, count: int, recording: Recording, spectrum: bool) -> Block:
    def column(name: str) -> NDArray[Any]:
        return np.asarray(found.getcol(name, start, count))

    flag = column("FLAG")
    flag |= column("FLAG_ROW")[:, None, None]
    return Block(
        start=start,
        rows=found.nrows(),
        vis=column("DATA"),
        flag=flag,
        weight=column("WEIGHT_SPECTRUM") if spectrum else column("WEIGHT")[:, None, :],
        ant1=column("ANTENNA1"),
        ant2=column("ANTENNA2"),
        time=np.searchsorted(recording.times_s, column("TIME")).astype(np.int64),
        uvw=column("UVW"),
    )
