"""Level-2 files of a single dish: calibrated, binned time streams with what was measured on the way (HDF5).

Rows of feeds are ``feed - 1`` everywhere but in ``level2/vane``, which keeps the order of the level-1 file. Missing is
NaN.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from contimg.errors import BadInput
from contimg.radio.hdf5 import opened
from contimg.radio.level1 import Level1

__all__ = ["Level2", "Level2Writer", "create_level2", "open_level2"]

SCANS = "level2/scan_edges"
_POINTING = "spectrometer/pixel_pointing/pixel_{}"


@dataclass(frozen=True)
class Level2Writer:
    """A file that is being made."""

    path: Path
    file: h5py.File

    def copy(self, level1: Level1, pairs: Sequence[tuple[str, float]]) -> list[str]:
        """Copy datasets of a level-1 file, times a scale, under the same names; return those that it does not have."""
        missing = []
        for name, scale in pairs:
            if not level1.has(name):
                missing.append(name)
                continue
            values = level1.array(name, dtype=None)
            self.put(name, values if scale == 1.0 else values.astype(np.float64) * scale)
        self.file.create_group("comap").attrs.update(level1.attributes())
        return missing

    def put(self, name: str, values: ArrayLike, unit: str = "") -> None:
        """Write a dataset of any shape in ``unit``, instead of one of that name."""
        if name in self.file:
            del self.file[name]
        made = self.file.create_dataset(name, data=np.asarray(values))
        if unit:
            made.attrs["unit"] = unit

    def stream(self, name: str, shape: tuple[int, ...], unit: str) -> None:
        """Make an empty time stream of that shape in ``unit``: NaN wherever nothing is written."""
        if name in self.file:
            del self.file[name]
        made = self.file.create_dataset(name, shape, np.float32, fillvalue=np.float32(np.nan))
        made.attrs["unit"] = unit

    def write(self, name: str, row: int, span: slice, values: NDArray[np.float32]) -> None:
        """Write a piece of a time stream, shape (band, bin, time) [K]."""
        self.file[name][row, :, :, span] = values

    def read(self, name: str, row: int, span: slice) -> NDArray[np.float32]:
        """Read a piece of a time stream, shape (band, bin, time) [K]."""
        return np.asarray(self._dataset(name)[row, :, :, span], np.float32)

    def array(self, name: str) -> NDArray[np.float64]:
        """Return a whole dataset of any shape, in its ``unit``."""
        return np.asarray(self._dataset(name)[...], np.float64)

    def mark(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Write attributes of a group, which is made if needed."""
        self.file.require_group(name).attrs.update(attributes)

    def _dataset(self, name: str) -> h5py.Dataset:
        found = self.file.get(name)
        if not isinstance(found, h5py.Dataset):
            raise BadInput(f"level 2 has no dataset {name}; let a module that writes it stand earlier in the pipeline")
        return found


@contextmanager
def create_level2(path: Path, provenance: Mapping[str, Any]) -> Iterator[Level2Writer]:
    """Make a file with a statement of how it is made."""
    with h5py.File(path, "w") as file:
        file.create_group("level2").attrs["provenance"] = json.dumps(provenance, sort_keys=True)
        yield Level2Writer(path, file)


@dataclass(frozen=True)
class Level2:
    """A finished file, open for reading."""

    path: Path
    file: h5py.File

    @property
    def feeds(self) -> list[int]:
        """Feeds of the observation in the order of the level-1 file."""
        return [int(feed) for feed in self._dataset("spectrometer/feeds")[...]]

    @property
    def mjd(self) -> NDArray[np.float64]:
        """UTC of every sample, shape (time,) [d]."""
        return np.asarray(self._dataset("spectrometer/MJD")[...], np.float64)

    @property
    def scans(self) -> NDArray[np.int64]:
        """First sample of each scan and the one after its last, shape (scan, 2), index."""
        return np.asarray(self._dataset(SCANS)[...], np.int64)

    def pointing(self, feed: int, span: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return azimuth and elevation of a feed, each of shape (time,), in degrees."""
        row = self.feeds.index(feed)
        az, el = (self._dataset(_POINTING.format(axis))[row, span] for axis in ("az", "el"))
        return np.asarray(az, np.float64), np.asarray(el, np.float64)

    def tod(self, name: str, feed: int, bin_index: int, span: slice) -> NDArray[np.float32]:
        """Return a time stream of a feed and bin (2 · band + bin), shape (time,) [K]."""
        return np.asarray(self._dataset(name)[feed - 1, bin_index // 2, bin_index % 2, span], np.float32)

    def noise(self, name: str, feed: int, bin_index: int) -> NDArray[np.float64]:
        """Return the rms of neighbouring samples of a time stream, shape (scan,) [K].

        ``name`` is that of the time stream.
        """
        path = f"level2_noise_stats/{name.rpartition('/')[2]}/auto_rms"
        return np.asarray(self._dataset(path)[feed - 1, bin_index // 2, bin_index % 2], np.float64)

    def frequency_ghz(self, bin_index: int) -> tuple[float, float]:
        """Return centre and bandwidth of a bin [GHz], the mean over the feeds; NaN if no feed has it."""
        where = np.s_[:, bin_index // 2, bin_index % 2]
        centre, width = (self._dataset(f"level2/{what}")[where] for what in ("central_freqs", "bandwidths"))
        return _mean(centre), _mean(width)

    def attribute(self, name: str) -> str:
        """Return an attribute of the level-1 file as text; empty if it is not there."""
        value = self.file["comap"].attrs.get(name, "") if "comap" in self.file else ""
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def _dataset(self, name: str) -> h5py.Dataset:
        found = self.file.get(name)
        if not isinstance(found, h5py.Dataset):
            raise BadInput(f"{self.path} has no dataset {name}; make level 2 again with the module that writes it")
        return found


def _mean(values: NDArray[np.float64]) -> float:
    good = values[np.isfinite(values)]
    return float(good.mean()) if good.size else float("nan")


@contextmanager
def open_level2(path: Path) -> Iterator[Level2]:
    """Open a finished file.

    Raises
    ------
    BadInput
        If it cannot be used.
    OSError
        If it cannot be opened.
    """
    with opened(path):
        pass
    with h5py.File(path, "r", locking=False) as file:
        yield Level2(path, file)
