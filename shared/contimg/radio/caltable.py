"""CASA calibration tables of complex gains, read and written with python-casacore as ``applycal`` accepts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from casacore.tables import makearrcoldesc, makescacoldesc, maketabdesc, table
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.radio.memory import zeroed
from contimg.radio.ms.read import Recording, opened

__all__ = ["CalTable", "Field", "read", "write"]

_SCALARS: tuple[tuple[str, Any], ...] = (
    ("TIME", 0.0),
    ("FIELD_ID", 0),
    ("SPECTRAL_WINDOW_ID", 0),
    ("ANTENNA1", 0),
    ("ANTENNA2", 0),
    ("INTERVAL", 0.0),
    ("SCAN_NUMBER", 0),
    ("OBSERVATION_ID", 0),
)
_ARRAYS: tuple[tuple[str, Any, str], ...] = (
    ("CPARAM", 0j, "complex"),
    ("PARAMERR", 0.0, "float"),
    ("FLAG", False, "boolean"),
    ("SNR", 0.0, "float"),
    ("WEIGHT", 0.0, "float"),
)


@dataclass(frozen=True)
class Field:
    """A direction that gains were solved on."""

    name: str
    ra_rad: float
    dec_rad: float


@dataclass(frozen=True)
class CalTable:
    """Solutions of one table: S slots in time, C channels (one means all), 2 receptors, A antennas."""

    antennas: tuple[str, ...]
    gain: NDArray[np.complex64]
    """Shape (S, C, 2, A), data = gain_i conj(gain_j) true; 1 where flagged by absence."""
    flag: NDArray[np.bool_]
    """Shape (S, C, 2, A)."""
    snr: NDArray[np.float32]
    """Shape (S, C, 2, A): amplitude over its standard error, a pure number."""
    times_s: NDArray[np.float64]
    """Shape (S,): middles, MJD in seconds; CASA gives every antenna its own, this is their median."""
    intervals_s: NDArray[np.float64]
    """Shape (S,)."""
    slot_fields: NDArray[np.int32]
    """Shape (S,): index into ``fields``."""
    fields: tuple[Field, ...]
    freqs_hz: NDArray[np.float64]
    """Shape (C,)."""

    def of(self, antennas: Sequence[str]) -> CalTable:
        """Return the table for these antennas in this order; those it lacks are flagged."""
        number = {name: k for k, name in enumerate(self.antennas)}
        known = [(k, number[name]) for k, name in enumerate(antennas) if name in number]
        here, there = ([pair[k] for pair in known] for k in (0, 1))
        shape = (*self.gain.shape[:3], len(antennas))
        gain, flag, snr = np.ones(shape, np.complex64), np.ones(shape, bool), np.zeros(shape, np.float32)
        for mine, own in ((gain, self.gain), (flag, self.flag), (snr, self.snr)):
            mine[..., here] = own[..., there]
        return replace(self, antennas=tuple(antennas), gain=gain, flag=flag, snr=snr)


@zeroed()
def write(path: Path, made: CalTable, recordings: Sequence[Recording]) -> None:
    """Write a table of type ``B Jones`` (many channels) or ``G Jones`` (one channel, of the whole band).

    Parameters
    ----------
    path
        New directory.
    made
        What to write; its channels are those of the recordings, or their mean.
    recordings
        Measurement sets the antennas, the site and the spectral window are taken from.
    """
    kind = "G Jones" if made.gain.shape[1] == 1 else "B Jones"
    rows = len(made.times_s) * len(made.antennas)
    with table(str(path), _description(), nrow=rows, ack=False) as out:
        out.putinfo({"type": "Calibration", "subType": kind, "readme": ""})
        out.putkeywords(
            {
                "ParType": "Complex",
                "MSName": recordings[0].path.name,
                "VisCal": kind,
                "PolBasis": "unknown",
                "CASA_Version": "6.7.0-31",
            }
        )
        _subtables(out, path, recordings)
        _put_rows(out, made)
    _antennas(path, made.antennas, recordings)
    _fields(path, made.fields)
    if made.gain.shape[1] == 1:
        _one_channel(path, float(made.freqs_hz[0]))


def _description() -> Any:
    columns = [makescacoldesc(name, value) for name, value in _SCALARS]
    columns += [makearrcoldesc(name, value, ndim=-1, valuetype=kind) for name, value, kind in _ARRAYS]
    described = maketabdesc(columns)
    described["TIME"]["keywords"] = {"QuantumUnits": ["s"], "MEASINFO": {"type": "epoch", "Ref": "UTC"}}
    described["INTERVAL"]["keywords"] = {"QuantumUnits": ["s"]}
    return described


def _subtables(out: Any, path: Path, recordings: Sequence[Recording]) -> None:
    for name in ("OBSERVATION", "ANTENNA", "FIELD", "SPECTRAL_WINDOW", "HISTORY"):
        with opened(recordings[0].path / name) as source:
            empty = name in {"FIELD", "HISTORY"}
            source.copy(str(path / name), deep=True, valuecopy=True, copynorows=empty).close()
        with table(str(path / name), ack=False) as copied:
            out.putkeyword(name, copied)


def _put_rows(out: Any, made: CalTable) -> None:
    ntime, nchan, nhand, nant = made.gain.shape

    def per_row(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2).reshape(ntime * nant, nchan, nhand))

    error = np.abs(made.gain) / np.maximum(made.snr, 1e-6)
    out.putcol("TIME", np.repeat(made.times_s, nant))
    out.putcol("INTERVAL", np.repeat(made.intervals_s, nant))
    out.putcol("FIELD_ID", np.repeat(made.slot_fields, nant).astype(np.int32))
    out.putcol("ANTENNA1", np.tile(np.arange(nant, dtype=np.int32), ntime))
    out.putcol("ANTENNA2", np.full(ntime * nant, -1, np.int32))
    out.putcol("SCAN_NUMBER", np.repeat(np.arange(1, ntime + 1, dtype=np.int32), nant))
    for name in ("SPECTRAL_WINDOW_ID", "OBSERVATION_ID"):
        out.putcol(name, np.zeros(ntime * nant, np.int32))
    out.putcol("CPARAM", per_row(made.gain))
    out.putcol("PARAMERR", per_row(error.astype(np.float32)))
    out.putcol("FLAG", per_row(made.flag))
    out.putcol("SNR", per_row(made.snr))
    out.putcol("WEIGHT", per_row((1 / np.maximum(error, 1e-10) ** 2).astype(np.float32)))


def _antennas(path: Path, names: Sequence[str], recordings: Sequence[Recording]) -> None:
    """Make the ANTENNA table list ``names`` in this order."""
    with table(str(path / "ANTENNA"), readonly=False, ack=False) as out:
        if list(out.getcol("NAME")) == list(names):
            return
        where = {name: (r.path, k) for r in reversed(recordings) for k, name in enumerate(r.antennas)}
        cells = []
        for name in names:
            with opened(where[name][0] / "ANTENNA") as source:
                cells.append(source[where[name][1]])
        out.removerows(list(range(out.nrows())))
        out.addrows(len(names))
        for k, cell in enumerate(cells):
            for column in ("OFFSET", "POSITION", "TYPE", "DISH_DIAMETER", "FLAG_ROW", "MOUNT", "NAME", "STATION"):
                out.putcell(column, k, cell[column])


def _fields(path: Path, fields: Sequence[Field]) -> None:
    with table(str(path / "FIELD"), readonly=False, ack=False) as out:
        out.addrows(len(fields))
        for k, field in enumerate(fields):
            out.putcell("NAME", k, field.name)
            out.putcell("NUM_POLY", k, 0)
            out.putcell("SOURCE_ID", k, -1)
            for column in ("DELAY_DIR", "PHASE_DIR", "REFERENCE_DIR"):
                out.putcell(column, k, np.array([[field.ra_rad, field.dec_rad]]))


def _one_channel(path: Path, middle: float) -> None:
    """Reduce the spectral window to one channel, as band-averaged gains need it (CASA ends the process otherwise)."""
    with table(str(path / "SPECTRAL_WINDOW"), readonly=False, ack=False) as out:
        width = float(np.abs(out.getcell("CHAN_WIDTH", 0)).sum())
        out.putcell("CHAN_FREQ", 0, np.array([middle]))
        for column in ("CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"):
            out.putcell(column, 0, np.array([width]))
        out.putcell("REF_FREQUENCY", 0, middle)
        out.putcell("TOTAL_BANDWIDTH", 0, width)
        out.putcell("NUM_CHAN", 0, 1)


def read(path: Path) -> CalTable:
    """Read a B or G table that CASA or :func:`write` wrote.

    Raises
    ------
    BadInput
        If it is no table, or its rows do not hold every antenna equally often.
    """
    if not (path / "table.dat").is_file():
        raise BadInput(f"{path} is no calibration table: it has no table.dat; solve it again")
    with opened(path) as found:
        names = ("TIME", "INTERVAL", "FIELD_ID", "ANTENNA1", "CPARAM", "FLAG", "SNR")
        columns = {name: np.asarray(found.getcol(name)) for name in names}
    antennas = tuple(str(name) for name in _cells(path, "ANTENNA", "NAME"))
    counts = np.bincount(columns["ANTENNA1"], minlength=len(antennas))
    slots = int(counts.max(initial=0))
    if slots == 0 or (counts != slots).any():
        raise BadInput(f"calibration table {path} has unequal numbers of rows per antenna; solve it again")
    # CASA gives every antenna the mean time of its own data; the running number of an antenna's rows is the slot.
    order = np.argsort(columns["ANTENNA1"], kind="stable").reshape(len(antennas), slots)

    def cube(name: str) -> NDArray[Any]:
        return np.ascontiguousarray(columns[name][order].transpose(1, 2, 3, 0))

    return CalTable(
        antennas=antennas,
        gain=cube("CPARAM"),
        flag=cube("FLAG"),
        snr=cube("SNR"),
        times_s=np.median(columns["TIME"][order], axis=0),
        intervals_s=columns["INTERVAL"][order[0]],
        slot_fields=columns["FIELD_ID"][order[0]],
        fields=_read_fields(path),
        freqs_hz=np.asarray(_cells(path, "SPECTRAL_WINDOW", "CHAN_FREQ"))[0],
    )


def _cells(path: Path, subtable: str, column: str) -> Any:
    with opened(path / subtable) as found:
        return found.getcol(column)


def _read_fields(path: Path) -> tuple[Field, ...]:
    directions = np.asarray(_cells(path, "FIELD", "PHASE_DIR"))[:, 0]
    names = _cells(path, "FIELD", "NAME")
    return tuple(Field(str(name), float(ra), float(dec)) for name, (ra, dec) in zip(names, directions, strict=True))
