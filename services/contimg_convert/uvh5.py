"""The first reader: a drift-scan UVH5 file set by h5py, phased to the meridian at mid-time while it is copied.

One subband is in memory beside the result. The kernel turns the channel order, conjugates, phases and flags
blanks in one pass. Channels of a missing subband are present and flagged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from astropy import units as u
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.radio.telescopes import telescope
from contimg_convert import drift, kernels
from contimg_convert.header import Header, read_header
from contimg_convert.visibilities import CORR_TYPES, Antennas, Visibilities

__all__ = ["read"]

LIGHT = 299792458.0
ROW_STEP = 1024


@dataclass(frozen=True)
class _Rows:
    """Order and geometry of the rows, the same for all subbands."""

    row: NDArray[np.int64]
    """Row of the file by row of the result."""
    turned: NDArray[np.bool_]
    one: NDArray[np.int32]
    two: NDArray[np.int32]
    time: NDArray[np.float64]


@dataclass(frozen=True)
class _Buffers:
    """Where a file is read to: made once, because the first touch of memory costs more than the reading."""

    vis: NDArray[np.complex64]
    """Shape (rows, channels, correlations), like the others."""
    flags: NDArray[np.int8]
    samples: NDArray[np.float32]

    @classmethod
    def of(cls, shape: tuple[int, int, int]) -> _Buffers:
        """Return buffers of a shape; nothing flagged, one sample each."""
        return cls(np.zeros(shape, np.complex64), np.zeros(shape, np.int8), np.ones(shape, np.float32))

    def load(self, path: Path) -> None:
        """Read visibilities, flags and sample counts of a file, of whatever number type.

        Raises
        ------
        BadInput
            If the file cannot be read to its end or has another shape.
        """
        try:
            with h5py.File(path, "r", locking=False) as file:
                _read_into(path, file["Data/visdata"], self.vis)
                for name, into, default in (("flags", self.flags, 0), ("nsamples", self.samples, 1)):
                    if f"Data/{name}" in file:
                        _read_into(path, file[f"Data/{name}"], into)
                    else:
                        into[:] = default
        except KeyError as error:
            raise BadInput(f"{path} lacks Data/visdata ({error.args[0]}); write the file again") from error
        except OSError as error:
            raise BadInput(f"{path} cannot be read to its end ({error}); copy it again") from error


def _read_into(path: Path, data: h5py.Dataset, into: NDArray[Any]) -> None:
    """Read a dataset with or without a spectral-window axis as a whole; a part would be 20 times slower."""
    rows, *rest = into.shape
    if data.shape not in {into.shape, (rows, 1, *rest)}:
        raise BadInput(
            f"{path}: {data.name} has shape {data.shape}, its header says {into.shape}; write the file again"
        )
    data.read_direct(into.reshape(data.shape))


def read(paths: Sequence[Path], expected: int) -> Visibilities:
    """Read the subband files of one recording.

    Parameters
    ----------
    paths
        Files of one time, any order; several must be named ``…_sbNN.hdf5``.
    expected
        Files of a full set; the result has so many times the channels of one file.

    Raises
    ------
    BadInput
        If a file cannot be read, the files contradict each other, or hold nothing but zeros and NaN.
    """
    heads = [read_header(path) for path in paths]
    reference = heads[0]
    slots, freq = _grid(heads, max(expected, len(heads)))
    used = np.isin(reference.numbers, np.union1d(reference.number1, reference.number2))
    rows = _rows(reference, used)
    site, station = telescope(reference.telescope), reference.positions_m[used]
    times, index = np.unique(rows.time, return_inverse=True)
    ra, dec = drift.phase_centre(times, reference.app_dec_rad, site)
    towards = drift.antenna_uvw(times, ra, dec, station, reference.site)
    uvw = towards[index, rows.one] - towards[index, rows.two]
    order = np.argsort([CORR_TYPES[p] for p in reference.polarizations])
    data = Visibilities(
        telescope=reference.telescope,
        antennas=_antennas(reference, used),
        vis=np.zeros((len(rows.row), len(freq), len(order)), np.complex64),
        flag=np.ones((len(rows.row), len(freq), len(order)), bool),
        weight=np.zeros((len(rows.row), len(order)), np.float32),
        uvw_m=uvw,
        time_jd=rows.time,
        interval_s=reference.interval_s[rows.row],
        antenna1=rows.one,
        antenna2=rows.two,
        freq_hz=freq,
        width_hz=reference.width_hz,
        corr_types=tuple(sorted(CORR_TYPES[p] for p in reference.polarizations)),
        ra_rad=ra,
        dec_rad=dec,
        source="meridian",
        app_dec_rad=reference.app_dec_rad,
        subband_channels=len(reference.freq_hz) if len(slots) > 1 or expected > 1 else 0,
        uvw_error_lambda=_uvw_error(reference, used, float(freq[-1])),
    )
    _fill(data, heads, slots, rows, used)
    return data


def _grid(heads: list[Header], expected: int) -> tuple[list[int], NDArray[np.float64]]:
    """Return each file's place in ascending frequency, and the frequencies of the full band.

    Raises
    ------
    BadInput
        If two files share a place or the channels of the files are not on one even grid.
    """
    first = heads[0]
    channels, step = len(first.freq_hz), first.width_hz
    low = {head.subband: float(head.freq_hz.min()) for head in heads}
    if len(low) < len(heads):
        number = Counter(head.subband for head in heads).most_common(1)[0][0]
        names = ", ".join(str(head.path) for head in heads if head.subband == number)
        raise BadInput(f"{names}: two files of the same subband and time; keep the right one")
    ascending = len(low) > 1 and low[max(low)] > low[min(low)]
    slots = [head.subband if ascending else expected - 1 - head.subband for head in heads]
    if min(slots) < 0 or max(slots) >= expected:
        text = f"{first.path.parent}: a subband number of {first.time_jd[0]} lies outside the {expected} of a full set"
        raise BadInput(f"{text}; mend the names")
    freq = low[first.subband] + step * (np.arange(expected * channels) - slots[0] * channels)
    for head, slot in zip(heads, slots, strict=True):
        wanted = freq[slot * channels : (slot + 1) * channels]
        if len(head.freq_hz) != channels or np.abs(np.sort(head.freq_hz) - wanted).max() > 0.01 * step:
            text = f"{head.path}: freq_array starts at {head.freq_hz.min():.0f} Hz with {len(head.freq_hz)} channels"
            raise BadInput(f"{text}, its place in the band is {wanted[0]:.0f} Hz with {channels}; remove that file")
    return slots, np.asarray(freq, np.float64)


def _rows(head: Header, used: NDArray[np.bool_]) -> _Rows:
    """Sort the rows of a file by time, antenna1 and antenna2, with antenna1 <= antenna2."""
    index = np.full(int(head.numbers.max()) + 1, -1, np.int64)
    index[head.numbers[used]] = np.arange(int(used.sum()))
    one, two = index[head.number1], index[head.number2]
    turned = one > two
    one, two = np.where(turned, two, one), np.where(turned, one, two)
    row = np.lexsort((two, one, head.time_jd))
    return _Rows(row, turned[row], one[row].astype(np.int32), two[row].astype(np.int32), head.time_jd[row])


def _antennas(head: Header, used: NDArray[np.bool_]) -> Antennas:
    names = tuple(name for name, use in zip(head.names, used, strict=True) if use)
    centre = np.array([axis.to_value(u.m) for axis in head.site.geocentric])
    return Antennas(names, names, head.positions_m[used] + centre, head.diameters_m[used])


def _uvw_error(head: Header, used: NDArray[np.bool_], freq_hz: float) -> float:
    """Return how far the uvw of the file are from the ones of its antennas at hour angle 0, in wavelengths.

    w and the length of (u, v) are compared: the direction of v depends on the frame and changes nothing.
    """
    towards = drift.meridian_uvw(head.app_dec_rad, head.positions_m[used], head.site)
    index = np.full(int(head.numbers.max()) + 1, -1, np.int64)
    index[head.numbers[used]] = np.arange(int(used.sum()))
    uvw = towards[index[head.number2]] - towards[index[head.number1]]
    w = np.abs(uvw[:, 2] - head.uvw_m[:, 2])
    uv = np.abs(np.hypot(uvw[:, 0], uvw[:, 1]) - np.hypot(head.uvw_m[:, 0], head.uvw_m[:, 1]))
    return float(max(w.max(), uv.max())) * freq_hz / LIGHT


def _fill(data: Visibilities, heads: list[Header], slots: list[int], reference: _Rows, used: NDArray[np.bool_]) -> None:
    """Read the files one after another into their places."""
    channels = len(heads[0].freq_hz)
    buffers = _Buffers.of((len(heads[0].time_jd), channels, len(data.corr_types)))
    live = np.zeros(data.weight.shape, np.int64)
    for head, slot in zip(heads, slots, strict=True):
        rows = _matching(head, heads[0], reference, used)
        # The file's w is of antenna 2 minus antenna 1, the measurement set's of 1 minus 2, turned rows twice so.
        new_w = np.where(rows.turned, data.uvw_m[:, 2], -data.uvw_m[:, 2])
        shift = new_w - head.uvw_m[rows.row, 2]
        before = int(live.sum())
        buffers.load(head.path)
        _place(head, data, slice(slot * channels, (slot + 1) * channels), rows, shift, live, buffers)
        if int(live.sum()) == before:
            data.notes.append(f"{head.path.name}: every sample of visdata is zero, NaN or flagged")
    if not live.any():
        names = f"{heads[0].path}" + (f" and {len(heads) - 1} more" if len(heads) > 1 else "")
        raise BadInput(f"{names}: every sample of Data/visdata is zero, NaN or flagged; copy the files again")
    np.divide(data.weight, np.maximum(live, 1), out=data.weight)


def _matching(head: Header, first: Header, reference: _Rows, used: NDArray[np.bool_]) -> _Rows:
    """Return the row order of a file, which must hold the same baselines and times as the first file.

    Raises
    ------
    BadInput
        If it does not.
    """
    for name in ("numbers", "names", "polarizations"):
        if not np.array_equal(getattr(head, name), getattr(first, name)):
            raise BadInput(f"{head.path}: {name} in the header differ from those of {first.path}; remove that file")
    if len(head.time_jd) != len(first.time_jd):
        raise BadInput(f"{head.path} has {len(head.time_jd)} rows, {first.path} {len(first.time_jd)}; remove that file")
    rows = _rows(head, used)
    half = float(first.interval_s[0]) / 2 / 86400.0
    same = np.array_equal(rows.one, reference.one) and np.array_equal(rows.two, reference.two)
    if not same or np.abs(rows.time - reference.time).max() > half:
        text = f"{head.path}: ant_1_array, ant_2_array or time_array differ from {first.path}"
        raise BadInput(f"{text}; remove that file")
    return rows


def _place(
    head: Header,
    data: Visibilities,
    channels: slice,
    rows: _Rows,
    shift: NDArray[np.float64],
    live: NDArray[np.int64],
    loaded: _Buffers,
) -> None:
    """Copy a loaded file into its channels."""
    turn = slice(None, None, -1) if head.descending else slice(None)
    order = np.argsort([CORR_TYPES[p] for p in head.polarizations])
    swap = not np.array_equal(order, np.arange(len(order)))
    arrays = (loaded.vis, loaded.flags, loaded.samples)
    inputs = [array[:, turn, order] if swap else array[:, turn] for array in arrays]
    first_hz, step_hz = float(data.freq_hz[channels][0]), data.width_hz
    outputs = (data.vis[:, channels], data.flag[:, channels], data.weight, live)

    def work(first: int, last: int) -> None:
        kernels.place(*inputs, rows.row, rows.turned, shift, first_hz, step_hz, *outputs, first, last)

    rows_at = np.append(np.arange(0, len(rows.row), ROW_STEP), len(rows.row)).astype(np.int64)
    kernels.in_threads(work, rows_at)
