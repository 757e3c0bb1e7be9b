"""One recording from the subband files of a drift scan, phased to the meridian at mid-time while it is copied.

One subband is in memory beside the result. The kernel turns the channel order, conjugates, phases and flags
blanks in one pass. Channels of a missing subband are present and flagged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import EarthLocation
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.instruments import telescope_named
from contimg.machine import in_threads
from contimg.radio.uvh5.read import FullHeader, read_data, read_full_header
from contimg.radio.visibilities import CORR_TYPES, Antennas, Visibilities
from contimg_convert import drift, kernels

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
    heads = [_header(path, max(expected, len(paths))) for path in paths]
    reference = heads[0]
    slots, freq = _grid(heads, max(expected, len(heads)))
    used = np.isin(reference.numbers, np.union1d(reference.number1, reference.number2))
    rows = _rows(reference, used)
    site, station = telescope_named(reference.telescope), reference.positions_m[used]
    centre = site.location if reference.site is None else reference.site
    times, index = np.unique(rows.time, return_inverse=True)
    ra, dec = drift.phase_centre(times, reference.app_dec_rad, site)
    towards = drift.antenna_uvw(times, ra, dec, station, centre)
    uvw = towards[index, rows.one] - towards[index, rows.two]
    order = np.argsort([CORR_TYPES[p] for p in reference.polarizations])
    data = Visibilities(
        telescope=reference.telescope,
        antennas=_antennas(reference, used, centre),
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
        subband_channels=reference.channels if len(slots) > 1 or expected > 1 else 0,
        uvw_error_lambda=_uvw_error(reference, used, centre, float(freq[-1])),
    )
    _fill(data, heads, slots, rows, used)
    return data


def _header(path: Path, subbands: int) -> FullHeader:
    try:
        return read_full_header(path, subbands)
    except OSError as error:
        raise BadInput(f"{path} cannot be opened ({error.strerror}); copy it again") from error


def _load(head: FullHeader, buffers: _Buffers) -> None:
    try:
        read_data(head, buffers.vis, buffers.flags, buffers.samples)
    except OSError as error:
        raise BadInput(f"{head.path} cannot be opened ({error.strerror}); copy it again") from error


def _grid(heads: list[FullHeader], expected: int) -> tuple[list[int], NDArray[np.float64]]:
    """Return each file's place in ascending frequency, and the frequencies of the full band.

    Raises
    ------
    BadInput
        If two files share a place or the channels of the files are not on one even grid.
    """
    first = heads[0]
    channels, step = first.channels, first.width_hz
    low = {head.subband or 0: float(head.channel_hz.min()) for head in heads}
    if len(low) < len(heads):
        number = Counter(head.subband for head in heads).most_common(1)[0][0]
        names = ", ".join(str(head.path) for head in heads if head.subband == number)
        raise BadInput(f"{names}: two files of the same subband and time; keep the right one")
    ascending = len(low) > 1 and low[max(low)] > low[min(low)]
    numbers = [head.subband or 0 for head in heads]
    slots = numbers if ascending else [expected - 1 - number for number in numbers]
    freq = low[numbers[0]] + step * (np.arange(expected * channels) - slots[0] * channels)
    for head, slot in zip(heads, slots, strict=True):
        wanted = freq[slot * channels : (slot + 1) * channels]
        if head.channels != channels or np.abs(np.sort(head.channel_hz) - wanted).max() > 0.01 * step:
            text = f"{head.path}: freq_array starts at {head.channel_hz.min():.0f} Hz with {head.channels} channels"
            raise BadInput(f"{text}, its place in the band is {wanted[0]:.0f} Hz with {channels}; remove that file")
    return slots, np.asarray(freq, np.float64)


def _rows(head: FullHeader, used: NDArray[np.bool_]) -> _Rows:
    """Sort the rows of a file by time, antenna1 and antenna2, with antenna1 <= antenna2."""
    one, two = _index(head.number1, head.numbers[used]), _index(head.number2, head.numbers[used])
    turned = one > two
    one, two = np.where(turned, two, one), np.where(turned, one, two)
    row = np.lexsort((two, one, head.time_jd))
    return _Rows(row, turned[row], one[row].astype(np.int32), two[row].astype(np.int32), head.time_jd[row])


def _index(numbers: NDArray[np.int64], listed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of every antenna number in the list that holds them all."""
    order = np.argsort(listed)
    return np.asarray(order[np.searchsorted(listed, numbers, sorter=order)])


def _antennas(head: FullHeader, used: NDArray[np.bool_], site: EarthLocation) -> Antennas:
    names = tuple(name for name, use in zip(head.names, used, strict=True) if use)
    centre = np.array([axis.to_value(u.m) for axis in site.geocentric])
    return Antennas(names, names, head.positions_m[used] + centre, head.diameters_m[used])


def _uvw_error(head: FullHeader, used: NDArray[np.bool_], site: EarthLocation, freq_hz: float) -> float:
    """Return how far the uvw of the file are from the ones of its antennas at hour angle 0, in wavelengths.

    w and the length of (u, v) are compared: the direction of v depends on the frame and changes nothing.
    """
    towards = drift.meridian_uvw(head.app_dec_rad, head.positions_m[used], site)
    uvw = towards[_index(head.number2, head.numbers[used])] - towards[_index(head.number1, head.numbers[used])]
    w = np.abs(uvw[:, 2] - head.uvw_m[:, 2])
    uv = np.abs(np.hypot(uvw[:, 0], uvw[:, 1]) - np.hypot(head.uvw_m[:, 0], head.uvw_m[:, 1]))
    return float(max(w.max(), uv.max())) * freq_hz / LIGHT


def _fill(
    data: Visibilities, heads: list[FullHeader], slots: list[int], reference: _Rows, used: NDArray[np.bool_]
) -> None:
    """Read the files one after another into their places."""
    channels = heads[0].channels
    buffers = _Buffers.of((len(heads[0].time_jd), channels, len(data.corr_types)))
    live = np.zeros(data.weight.shape, np.int64)
    wrong = np.zeros(len(live), np.int64)
    for head, slot in zip(heads, slots, strict=True):
        rows = _matching(head, heads[0], reference, used)
        # The file's w is of antenna 2 minus antenna 1, the measurement set's of 1 minus 2, turned rows twice so.
        new_w = np.where(rows.turned, data.uvw_m[:, 2], -data.uvw_m[:, 2])
        shift = new_w - head.uvw_m[rows.row, 2]
        before = int(live.sum())
        _load(head, buffers)
        wrong[:] = 0
        _place(head, data, slice(slot * channels, (slot + 1) * channels), rows, shift, live, wrong, buffers)
        if wrong.any():
            data.not_finite += int(wrong.sum())
            data.notes.append(f"{head.path.name}: {wrong.sum()} of {buffers.vis.size} visibilities are infinite or NaN")
        if int(live.sum()) == before:
            data.notes.append(f"{head.path.name}: every sample of visdata is zero, NaN or flagged")
    if not live.any():
        names = f"{heads[0].path}" + (f" and {len(heads) - 1} more" if len(heads) > 1 else "")
        raise BadInput(f"{names}: every sample of Data/visdata is zero, NaN or flagged; copy the files again")
    np.divide(data.weight, np.maximum(live, 1), out=data.weight)


def _matching(head: FullHeader, first: FullHeader, reference: _Rows, used: NDArray[np.bool_]) -> _Rows:
    """Return the row order of a file, which must hold the same baselines and times as the first file.

    Raises
    ------
    BadInput
        If it does not.
    """
    for name in ("telescope", "numbers", "names", "polarizations"):
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
    head: FullHeader,
    data: Visibilities,
    channels: slice,
    rows: _Rows,
    shift: NDArray[np.float64],
    live: NDArray[np.int64],
    wrong: NDArray[np.int64],
    loaded: _Buffers,
) -> None:
    """Copy a loaded file into its channels."""
    turn = slice(None, None, -1) if head.descending else slice(None)
    order = np.argsort([CORR_TYPES[p] for p in head.polarizations])
    swap = not np.array_equal(order, np.arange(len(order)))
    arrays = (loaded.vis, loaded.flags, loaded.samples)
    inputs = [array[:, turn, order] if swap else array[:, turn] for array in arrays]
    first_hz, step_hz = float(data.freq_hz[channels][0]), data.width_hz
    outputs = (data.vis[:, channels], data.flag[:, channels], data.weight, live, wrong)

    def work(first: int, last: int) -> None:
        kernels.place(*inputs, rows.row, rows.turned, shift, first_hz, step_hz, *outputs, first, last)

    in_threads(work, [*range(0, len(rows.row), ROW_STEP), len(rows.row)])
