"""Writable copies of measurement sets: calibrated data and weights, and a sky model beside the data."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from casacore.tables import makecoldesc, table
from numpy.typing import NDArray

from contimg.errors import ResourceExhausted
from contimg.radio.ms.read import BLOCK_BYTES, Block, Recording, blocks_of

__all__ = ["Edited", "add_model", "copy", "edited", "rename", "writable"]

_STALE = ("MODEL_DATA", "CORRECTED_DATA", "WEIGHT_SPECTRUM", "SIGMA_SPECTRUM")


def copy(source: Path, target: Path) -> None:
    """Copy a measurement set, sharing its blocks where the file system can; the copy is writable.

    It has no columns that describe other data than DATA will be.

    Raises
    ------
    ResourceExhausted
        If the copy fails, which is nearly always for want of space.
    """
    command = ["cp", "-r", "--reflink=auto", "--no-preserve=mode", str(source.resolve()), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell, our paths
    if done.returncode:
        raise ResourceExhausted(f"cannot copy {source} to {target}: {done.stderr.strip()}; make space and try again")
    with writable(target) as opened:
        stale = [name for name in _STALE if name in opened.colnames()]
        if stale:
            opened.removecols(stale)


@contextmanager
def writable(path: Path) -> Iterator[Any]:
    """Open a table to write into it."""
    opened = table(str(path), readonly=False, ack=False)
    try:
        yield opened
    finally:
        opened.close()


class Edited:
    """An open measurement set whose data are replaced block by block."""

    def __init__(self, recording: Recording, opened: Any) -> None:
        self.recording = recording
        self.rows: int = opened.nrows()
        self._table = opened

    def blocks(self, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
        """Yield the rows, see `contimg.radio.ms.read.blocks`."""
        return blocks_of(self._table, self.recording, block_bytes)

    def put(self, block: Block) -> None:
        """Write DATA and FLAG of a block back."""
        self._table.putcol("DATA", block.vis, block.start, len(block.vis))
        self._table.putcol("FLAG", block.flag, block.start, len(block.vis))

    def put_weight(self, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """Write WEIGHT and the SIGMA that follows.

        Parameters
        ----------
        weight
            Inverse variance of the real part, shape (rows, correlations) [Jy^-2]; 0: none.

        Returns
        -------
        ndarray
            Standard deviation, shape (rows, correlations) [Jy]; 0 where there is no weight.
        """
        sigma = np.where(weight > 0, 1 / np.sqrt(np.maximum(weight, 1e-30)), 0).astype(np.float32)
        self._table.putcol("WEIGHT", weight)
        self._table.putcol("SIGMA", sigma)
        return sigma


@contextmanager
def edited(recording: Recording) -> Iterator[Edited]:
    """Open a writable measurement set to replace its data."""
    with writable(recording.path) as opened:
        yield Edited(recording, opened)


def rename(path: Path, prefix: str, field: str, scan: int) -> None:
    """Put a prefix before the names of all antennas, and give all rows one field name and scan number."""
    with writable(path / "ANTENNA") as antennas:
        antennas.putcol("NAME", [prefix + name for name in antennas.getcol("NAME")])
    with writable(path / "FIELD") as fields:
        fields.putcol("NAME", [field] * fields.nrows())
    with writable(path) as out:
        out.putcol("SCAN_NUMBER", np.full(out.nrows(), scan, np.int32))


def add_model(path: Path, models: Iterator[NDArray[np.complex64]]) -> None:
    """Write the column MODEL_DATA.

    Parameters
    ----------
    path
        A writable measurement set.
    models
        Visibilities of successive blocks of rows, shape (rows, channels, correlations) each [Jy].
    """
    with writable(path) as out:
        if "MODEL_DATA" not in out.colnames():
            described = out.getcoldesc("DATA") | {"comment": "sky model of stage solve"}
            manager = {"TYPE": "TiledShapeStMan", "NAME": "TiledModel", "SPEC": {}}
            out.addcols(makecoldesc("MODEL_DATA", described), manager)
        start = 0
        for model in models:
            out.putcol("MODEL_DATA", model, start, len(model))
            start += len(model)
