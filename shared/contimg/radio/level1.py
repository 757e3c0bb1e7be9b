"""Level-1 files of a single dish: raw power per feed, band, channel and sample, with pointing and housekeeping (HDF5).

One reader and one writer. The numbers of a feed and band are read scan by scan into a buffer that the caller keeps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from contimg.errors import BadInput, Retryable
from contimg.radio.hdf5 import opened

__all__ = ["Level1", "Level1Header", "Level1Writer", "open_level1", "read_level1_header"]

Floats = NDArray[np.float64]
TOD = "spectrometer/tod"
_NEEDED = (
    TOD,
    "spectrometer/MJD",
    "spectrometer/features",
    "spectrometer/feeds",
    "spectrometer/frequency",
    "spectrometer/pixel_pointing/pixel_az",
    "spectrometer/pixel_pointing/pixel_el",
)
_SIEVE_BYTES = 512
_FIRST_MJD, _LAST_MJD = 33282.0, 106331.0
"""1950 and 2150 [d]."""


@dataclass(frozen=True)
class Level1Header:
    """What the attributes and the ends of the time axis say."""

    obsid: int
    source: str
    """The first of the list."""
    comment: str
    start_mjd: float
    """UTC."""
    end_mjd: float
    samples: int
    feeds: tuple[int, ...]
    ra_deg: float
    dec_deg: float
    """Pointing of the first feed at mid-time as the file says it; NaN if it does not."""


@dataclass(frozen=True)
class Level1:
    """An open file."""

    path: Path
    file: h5py.File

    def array(self, name: str, dtype: Any = np.float64) -> NDArray[Any]:
        """Return a whole dataset of any shape, in the ``unit`` of the file.

        Raises
        ------
        BadInput
            If the file has no such dataset.
        """
        return np.asarray(self.dataset(name)[...], dtype)

    def has(self, name: str) -> bool:
        """Tell whether a dataset is there."""
        return isinstance(self.file.get(name), h5py.Dataset)

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the group ``comap``."""
        return {str(name): value for name, value in self.file["comap"].attrs.items()}

    @property
    def feeds(self) -> NDArray[np.int64]:
        """Return the feed numbers of the first axis, shape (feed,), pure numbers."""
        return self.array("spectrometer/feeds", np.int64)

    @property
    def mjd(self) -> Floats:
        """Return UTC of every sample, shape (time,) [d]."""
        return self.array("spectrometer/MJD")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Feeds, bands, channels and samples."""
        shape: tuple[int, int, int, int] = self.dataset(TOD).shape
        return shape

    def pointing(self, row: int) -> tuple[Floats, Floats]:
        """Return azimuth and elevation of a feed, each of shape (time,), in degrees.

        Raises
        ------
        BadInput
            If some number is not finite or no elevation.
        """
        names = [f"spectrometer/pixel_pointing/pixel_{axis}" for axis in ("az", "el")]
        az, el = (np.asarray(self.dataset(name)[row], np.float64) for name in names)
        wrong = ~(np.isfinite(az) & (el >= 0.0) & (el <= 90.0))
        if wrong.any():
            number = int(np.argmax(wrong))
            found = f"az {az[number]:g}, el {el[number]:g} at sample {number}"
            raise BadInput(f"{self.path}: {names[1]} row {row} has {found}; copy the file again or leave it out")
        return az, el

    def read(self, buffer: NDArray[np.float32], row: int, band: int, start: int, stop: int) -> NDArray[np.float32]:
        """Read raw power of a feed and band into the front of a flat buffer.

        Returns
        -------
        ndarray
            Shape (channel, stop - start) [counts], a view of the buffer.

        Raises
        ------
        Retryable
            If the disk gives an error.
        """
        channels = self.shape[2]
        view = buffer[: channels * (stop - start)].reshape(channels, stop - start)
        try:
            self.dataset(TOD).read_direct(view, np.s_[row, band, :, start:stop])
        except OSError as error:
            text = f"{self.path}: {TOD} cannot be read in row {row}, band {band}, samples {start} to {stop}"
            raise Retryable(f"{text} ({str(error).splitlines()[0]}); if that stays, copy the file again") from error
        return view

    def dataset(self, name: str) -> h5py.Dataset:
        """Return a dataset; raises BadInput if the file has none of this name."""
        found = self.file.get(name)
        if not isinstance(found, h5py.Dataset):
            raise BadInput(f"{self.path} has no dataset {name}; copy the file again, or leave it out")
        return found


@contextmanager
def open_level1(path: Path) -> Iterator[Level1]:
    """Open a file and check that its parts fit together.

    Raises
    ------
    BadInput
        If it cannot be used; the sentence names file, dataset and cure.
    OSError
        If it cannot be opened.
    """
    with opened(path) as file:
        _check(Level1(path, file))
    with _without_sieve(path) as file:  # what is wrong from here on is no fault of the file
        yield Level1(path, file)


def _without_sieve(path: Path) -> h5py.File:
    """Open a file so that a short piece of a long row costs no 64 KiB: vane events are such pieces."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_sieve_buf_size(_SIEVE_BYTES)
    access.set_file_locking(False, True)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDONLY, access))


def _check(level1: Level1) -> None:
    for name in _NEEDED:
        level1.dataset(name)
    shape = level1.shape
    if len(shape) != 4 or 0 in shape:
        raise BadInput(f"{level1.path}: {TOD} has shape {shape}, not (feed, band, channel, time); copy it again")
    expected = {
        "spectrometer/MJD": shape[3:],
        "spectrometer/features": shape[3:],
        "spectrometer/feeds": shape[:1],
        "spectrometer/frequency": shape[1:3],
        "spectrometer/pixel_pointing/pixel_az": (shape[0], shape[3]),
        "spectrometer/pixel_pointing/pixel_el": (shape[0], shape[3]),
    }
    for name, wanted in expected.items():
        found = level1.dataset(name).shape
        if found != wanted:
            raise BadInput(f"{level1.path}: {name} has shape {found}, {TOD} wants {wanted}; copy the file again")
    _check_clock(level1)
    _check_feeds(level1)


def _check_clock(level1: Level1) -> None:
    mjd = level1.mjd
    if not (np.isfinite(mjd).all() and _FIRST_MJD < mjd[0] < _LAST_MJD):
        raise BadInput(f"{level1.path}: spectrometer/MJD begins with {mjd[0]:g} or has gaps of NaN; copy it again")
    steps = np.diff(mjd)
    if steps.size and steps.min() <= 0.0:
        number = int(np.argmin(steps))
        text = f"{level1.path}: spectrometer/MJD goes back by {-steps[number] * 86400:.3g} s after sample {number}"
        raise BadInput(f"{text}; leave the observation out")


def _check_feeds(level1: Level1) -> None:
    feeds = level1.feeds.tolist()
    if len(set(feeds)) != len(feeds) or not all(1 <= feed <= 20 for feed in feeds):
        raise BadInput(f"{level1.path}: spectrometer/feeds holds {feeds}; feeds are 1 to 20, each once")


def read_level1_header(path: Path) -> Level1Header:
    """Return the header of a file.

    Raises
    ------
    BadInput
        As :func:`open_level1`, or if an attribute is missing.
    OSError
        If it cannot be opened.
    """
    with open_level1(path) as level1:
        attributes = level1.attributes()
        for name in ("obsid", "source"):
            if name not in attributes:
                raise BadInput(f"{path}: group comap has no attribute {name}; copy the file again")
        mjd = level1.mjd
        source = _text(attributes["source"]).split(",")[0].strip()
        ra_deg, dec_deg = _centre(level1)
        return Level1Header(
            obsid=int(_text(attributes["obsid"])),
            source=source,
            comment=_text(attributes.get("comment", "")),
            start_mjd=float(mjd[0]),
            end_mjd=float(mjd[-1]),
            samples=len(mjd),
            feeds=tuple(level1.feeds.tolist()),
            ra_deg=ra_deg,
            dec_deg=dec_deg,
        )


def _centre(level1: Level1) -> tuple[float, float]:
    found = []
    for axis in ("ra", "dec"):
        name = f"spectrometer/pixel_pointing/pixel_{axis}"
        values = level1.dataset(name) if level1.has(name) else None
        found.append(float(values[0, values.shape[1] // 2]) if values is not None else float("nan"))
    return found[0], found[1]


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.flat[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class Level1Writer:
    """Writes a file: everything small at once, the power feed by feed and band by band.

    Parameters
    ----------
    path
        Of the new file; it is removed when writing fails.
    shape
        (feed, band, channel, time) of the power [counts].
    """

    def __init__(self, path: Path, shape: tuple[int, int, int, int]) -> None:
        self._path = path
        self._file = h5py.File(path, "w")
        self._tod = self._file.create_dataset(TOD, shape, np.float32)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is not None:
            self._path.unlink(missing_ok=True)

    def describe(self, attributes: Mapping[str, Any], arrays: Mapping[str, ArrayLike]) -> None:
        """Write the attributes of ``comap`` and datasets of any shape by name, in the ``unit`` of the format."""
        self._file.create_group("comap").attrs.update(attributes)
        for name, values in arrays.items():
            self._file.create_dataset(name, data=np.asarray(values))

    def power(self, row: int, band: int, values: NDArray[np.float32]) -> None:
        """Write the power of a feed and band, shape (channel, time) [counts]."""
        self._tod[row, band] = values
