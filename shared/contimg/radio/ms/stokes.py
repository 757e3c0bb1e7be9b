"""A small measurement set for foreign imagers: exactly the visibilities and weights that our own imager grids.

wsclean and tclean want a measurement set they may open for writing, and neither takes two separate ranges of
channels; handing them ours makes flags, selection, averaging and weights the same for all backends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from casacore.tables import default_ms, required_ms_desc, tableutil
from numpy.typing import NDArray

from contimg.radio.ms.edit import writable
from contimg.radio.ms.read import Recording, opened

__all__ = ["StokesI", "write_ms"]

_COPIED = ("ANTENNA", "DATA_DESCRIPTION", "FEED", "FIELD", "OBSERVATION", "POLARIZATION", "SPECTRAL_WINDOW")
_MJD = 2400000.5


class StokesI(Protocol):
    """Visibilities ready to grid; R rows, C channels."""

    @property
    def uvw_m(self) -> NDArray[np.float64]:
        """Shape (R, 3) [m]."""

    @property
    def freq_hz(self) -> NDArray[np.float64]:
        """Shape (C,) [Hz]."""

    @property
    def data(self) -> NDArray[np.complex64]:
        """Shape (R, C) [Jy]."""

    @property
    def weight(self) -> NDArray[np.float32]:
        """Shape (R, C) [Jy^-2]."""

    @property
    def time_jd(self) -> NDArray[np.float64]:
        """Shape (R,) [d]."""

    @property
    def antenna1(self) -> NDArray[np.int32]:
        """Shape (R,)."""

    @property
    def antenna2(self) -> NDArray[np.int32]:
        """Shape (R,)."""

    @property
    def interval_s(self) -> float:
        """Length of an integration [s]."""

    @property
    def band_hz(self) -> tuple[float, float]:
        """Outer edges [Hz]."""

    @property
    def mean_freq_hz(self) -> float:
        """Weighted mean [Hz]."""


def write_ms(recording: Recording, vis: StokesI, path: Path) -> None:
    """Write Stokes I as a measurement set whose correlations all equal I.

    Each of the two correlations has half the weight of I, so that their mean has the right variance.

    Parameters
    ----------
    recording
        The measurement set that the visibilities were read from; its subtables are copied.
    vis
        What to write.
    path
        A new directory.
    """
    desc = required_ms_desc("")
    for name in ("DATA", "WEIGHT_SPECTRUM"):
        desc |= _array_column(name, "complex" if name == "DATA" else "float")
    default_ms(str(path), desc).close()
    for name in _COPIED:
        _copy_rows(recording.path / name, path / name)
    _set_channels(path, vis)
    with writable(path) as main:
        main.addrows(len(vis.uvw_m))
        _fill(main, recording, vis, _correlations(path))


def _fill(main: Any, recording: Recording, vis: StokesI, corrs: int) -> None:
    shape = (*vis.data.shape, corrs)
    weight = np.broadcast_to(vis.weight[..., None] / 2, shape)
    seconds = (vis.time_jd - _MJD) * 86400
    main.putcol("DATA", np.ascontiguousarray(np.broadcast_to(vis.data[..., None], shape)))
    main.putcol("FLAG", np.ascontiguousarray(weight <= 0))
    main.putcol("WEIGHT_SPECTRUM", np.ascontiguousarray(weight))
    main.putcol("WEIGHT", np.ascontiguousarray(weight.mean(axis=1)))
    main.putcol("SIGMA", np.ascontiguousarray(1 / np.sqrt(np.maximum(weight.mean(axis=1), 1e-30))))
    main.putcol("UVW", vis.uvw_m)
    for name in ("TIME", "TIME_CENTROID"):
        main.putcol(name, seconds)
    for name in ("INTERVAL", "EXPOSURE"):
        main.putcol(name, np.full(len(seconds), vis.interval_s))
    for number, values in ((1, vis.antenna1), (2, vis.antenna2)):
        main.putcol(f"ANTENNA{number}", values)
    main.putcol("FIELD_ID", np.full(len(seconds), recording.field_id, np.int32))


def _array_column(name: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = tableutil.maketabdesc(
        tableutil.makearrcoldesc(name, 0.0 if kind == "float" else 0j, ndim=2, valuetype=kind)
    )
    return found


def _copy_rows(source: Path, target: Path) -> None:
    with writable(target) as new, opened(source) as old:
        old.copyrows(new)
        for column in set(old.colnames()) & set(new.colnames()):
            new.putcolkeywords(column, old.getcolkeywords(column))  # the frame of directions is one of them


def _set_channels(path: Path, vis: StokesI) -> None:
    count = len(vis.freq_hz)
    width = np.full(count, (vis.band_hz[1] - vis.band_hz[0]) / count)
    with writable(path / "SPECTRAL_WINDOW") as spw:
        spw.putcell("NUM_CHAN", 0, count)
        spw.putcell("CHAN_FREQ", 0, vis.freq_hz)
        for name in ("CHAN_WIDTH", "EFFECTIVE_BW", "RESOLUTION"):
            spw.putcell(name, 0, width)
        spw.putcell("TOTAL_BANDWIDTH", 0, float(width.sum()))
        spw.putcell("REF_FREQUENCY", 0, vis.mean_freq_hz)


def _correlations(path: Path) -> int:
    with opened(path / "POLARIZATION") as polarization:
        return int(polarization.getcell("NUM_CORR", 0))
