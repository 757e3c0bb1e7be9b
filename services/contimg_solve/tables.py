"""CASA calibration tables, written with python-casacore as ``applycal`` accepts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from casacore.tables import makearrcoldesc, makescacoldesc, maketabdesc, table

from contimg.errors import BadInput
from contimg_solve.data import Recording
from contimg_solve.solution import Solution

__all__ = ["Field", "read_gains", "write_table"]

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


def write_table(
    path: Path, solution: Solution, names: Sequence[str], fields: Sequence[Field], recordings: Sequence[Recording]
) -> None:
    """Write a table of type ``B Jones`` (many channels) or ``G Jones`` (one channel).

    Parameters
    ----------
    path
        New directory.
    solution
        Gains; those of a G table belong to the middle of the band.
    names
        Antennas of the solution.
    fields
        Fields that ``solution.fields`` names.
    recordings
        Measurement sets the antennas, the site and the frequencies are taken from.
    """
    kind = "G Jones" if solution.gain.shape[1] == 1 else "B Jones"
    rows = len(solution.times_s) * len(names)
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
        _put_rows(out, solution, len(names), [f.name for f in fields])
    _antennas(path, names, recordings)
    _fields(path, fields)
    if solution.gain.shape[1] == 1:
        _one_channel(path)


def _description() -> Any:
    columns = [makescacoldesc(name, value) for name, value in _SCALARS]
    columns += [makearrcoldesc(name, value, ndim=-1, valuetype=kind) for name, value, kind in _ARRAYS]
    described = maketabdesc(columns)
    described["TIME"]["keywords"] = {"QuantumUnits": ["s"], "MEASINFO": {"type": "epoch", "Ref": "UTC"}}
    described["INTERVAL"]["keywords"] = {"QuantumUnits": ["s"]}
    return described


def _subtables(out: Any, path: Path, recordings: Sequence[Recording]) -> None:
    for name in ("OBSERVATION", "ANTENNA", "FIELD", "SPECTRAL_WINDOW", "HISTORY"):
        with table(f"{recordings[0].path}::{name}", ack=False) as source:
            empty = name in {"FIELD", "HISTORY"}
            source.copy(str(path / name), deep=True, valuecopy=True, copynorows=empty).close()
        with table(str(path / name), ack=False) as copied:
            out.putkeyword(name, copied)


def _put_rows(out: Any, solution: Solution, nant: int, fields: Sequence[str]) -> None:
    ntime, nchan, nhand, _ = solution.gain.shape

    def per_row(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2).reshape(ntime * nant, nchan, nhand))

    error = np.abs(solution.gain) / np.maximum(solution.snr, 1e-6)
    out.putcol("TIME", np.repeat(solution.times_s, nant))
    out.putcol("INTERVAL", np.repeat(solution.intervals_s, nant))
    out.putcol("FIELD_ID", np.repeat([fields.index(f) for f in solution.fields], nant).astype(np.int32))
    out.putcol("ANTENNA1", np.tile(np.arange(nant, dtype=np.int32), ntime))
    out.putcol("ANTENNA2", np.full(ntime * nant, -1, np.int32))
    out.putcol("SCAN_NUMBER", np.repeat(np.arange(1, ntime + 1, dtype=np.int32), nant))
    for name in ("SPECTRAL_WINDOW_ID", "OBSERVATION_ID"):
        out.putcol(name, np.zeros(ntime * nant, np.int32))
    out.putcol("CPARAM", per_row(solution.gain))
    out.putcol("PARAMERR", per_row(error.astype(np.float32)))
    out.putcol("FLAG", per_row(solution.flag))
    out.putcol("SNR", per_row(solution.snr))
    out.putcol("WEIGHT", per_row((1 / np.maximum(error, 1e-10) ** 2).astype(np.float32)))


def _antennas(path: Path, names: Sequence[str], recordings: Sequence[Recording]) -> None:
    """Make the ANTENNA table list ``names`` in this order."""
    with table(str(path / "ANTENNA"), readonly=False, ack=False) as out:
        if list(out.getcol("NAME")) == list(names):
            return
        where = {name: (r.path, k) for r in reversed(recordings) for k, name in enumerate(r.antennas)}
        cells = []
        for name in names:
            with table(f"{where[name][0]}::ANTENNA", ack=False) as source:
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


def _one_channel(path: Path) -> None:
    """Reduce the spectral window to one channel, as band-averaged gains need it (CASA ends the process otherwise)."""
    with table(str(path / "SPECTRAL_WINDOW"), readonly=False, ack=False) as out:
        middle, width = float(out.getcell("CHAN_FREQ", 0).mean()), float(np.abs(out.getcell("CHAN_WIDTH", 0)).sum())
        out.putcell("CHAN_FREQ", 0, np.array([middle]))
        for column in ("CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"):
            out.putcell(column, 0, np.array([width]))
        out.putcell("REF_FREQUENCY", 0, middle)
        out.putcell("TOTAL_BANDWIDTH", 0, width)
        out.putcell("NUM_CHAN", 0, 1)


def read_gains(path: Path, names: Sequence[str]) -> Solution:
    """Read a B or G table that CASA or :func:`write_table` wrote; antennas by name.

    Raises
    ------
    BadInput
        If its rows do not hold every antenna once per time.
    """
    with table(str(path), ack=False) as t, table(f"{path}::ANTENNA", ack=False) as a:
        columns = {
            c: np.asarray(t.getcol(c)) for c in ("TIME", "INTERVAL", "FIELD_ID", "ANTENNA1", "CPARAM", "FLAG", "SNR")
        }
        own = [str(name) for name in a.getcol("NAME")]
    with table(f"{path}::FIELD", ack=False) as f:
        fields = [str(name) for name in f.getcol("NAME")]
    # CASA gives every antenna the mean time of its own data; the running number of an antenna's rows is the slot.
    slot = np.zeros(len(columns["TIME"]), int)
    for k in range(len(own)):
        mine = columns["ANTENNA1"] == k
        slot[mine] = np.arange(mine.sum())
    ntime = int(slot.max(initial=-1)) + 1
    if len(slot) != ntime * len(own):
        raise BadInput(f"calibration table {path} has {len(slot)} rows for {len(own)} antennas; solve it again")
    index = [names.index(name) if name in names else -1 for name in own]
    shape = (ntime, *columns["CPARAM"].shape[1:], len(names))
    gain, flag, snr = np.ones(shape, np.complex64), np.ones(shape, bool), np.zeros(shape, np.float32)
    for row in range(len(slot)):
        k = index[columns["ANTENNA1"][row]]
        if k >= 0:
            gain[slot[row], :, :, k] = columns["CPARAM"][row]
            flag[slot[row], :, :, k] = columns["FLAG"][row]
            snr[slot[row], :, :, k] = columns["SNR"][row]
    first = [int(np.flatnonzero(slot == s)[0]) for s in range(ntime)]
    times = np.array([np.median(columns["TIME"][slot == s]) for s in range(ntime)])
    ids = columns["FIELD_ID"][first]
    live = np.asarray(~flag.all(axis=(0, 1, 2)))
    return Solution(gain, flag, snr, live, times, columns["INTERVAL"][first], tuple(fields[i] for i in ids))
