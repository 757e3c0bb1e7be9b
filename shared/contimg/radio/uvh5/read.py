"""Reading UVH5 files of a drift scan, as the correlator and other programs write them.

A header is believed only as far as its numbers can be true: shapes agree with each other, times, frequencies, lengths
and the pointing lie within bounds. Ingest and convert share this reader, so that what one takes the other can use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from astropy import units as u
from astropy.coordinates import EarthLocation
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.radio import hdf5
from contimg.radio.rawfile import FIRST_JD, LAST_JD, LONGEST_S, SHORTEST_S, bounded
from contimg.radio.visibilities import CORR_TYPES

__all__ = ["FullHeader", "Header", "name_stamp", "read_data", "read_full_header", "read_header", "subband_of"]

DAY_S = 86400.0
_FREQUENCIES_HZ = (1e6, 1e12)
_EARTH_M = 1.3e7
"""No baseline is longer than the Earth is wide [m]."""

_SUBBAND = re.compile(r"_sb(\d{2,})(?=\D|$)")
_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})")
_NEEDED = (
    "time_array",
    "integration_time",
    "ant_1_array",
    "ant_2_array",
    "uvw_array",
    "freq_array",
    "channel_width",
    "polarization_array",
    "antenna_numbers",
    "antenna_names",
    "antenna_positions",
    "telescope_name",
)


@dataclass(frozen=True)
class Header:
    """What one UVH5 file says about itself, in a few numbers."""

    path: Path
    telescope: str
    """As the file names it."""
    subband: int | None
    """From the name; None for a file that holds the whole band."""
    first_jd: float
    """Centre of the first integration, UTC."""
    last_jd: float
    integration_s: float
    integrations: int
    rows: int
    app_dec_rad: float
    """Pointing: apparent declination of date."""
    freq_hz: float
    """Centre of the first channel as written."""
    channels: int

    @property
    def app_dec_deg(self) -> float:
        """Pointing: apparent declination of date."""
        return float(np.degrees(self.app_dec_rad))

    @property
    def start_jd(self) -> float:
        """Start of the first integration."""
        return self.first_jd - self.integration_s / 2 / DAY_S

    @property
    def end_jd(self) -> float:
        """End of the last integration."""
        return self.last_jd + self.integration_s / 2 / DAY_S

    @property
    def role(self) -> str:
        """Role in the file set."""
        return "all" if self.subband is None else f"sb{self.subband:02d}"


@dataclass(frozen=True)
class FullHeader(Header):
    """The same with its arrays, as the file has them: rows (R), channels (C) and antennas (A)."""

    site: EarthLocation | None
    """What the positions are relative to; None: the telescope's official centre."""
    time_jd: NDArray[np.float64]
    """Shape (R,)."""
    interval_s: NDArray[np.float64]
    """Shape (R,)."""
    number1: NDArray[np.int64]
    """Antenna numbers of the rows, shape (R,)."""
    number2: NDArray[np.int64]
    uvw_m: NDArray[np.float64]
    """Shape (R, 3): antenna 2 minus antenna 1; its w is the delay that was taken out."""
    channel_hz: NDArray[np.float64]
    """Centres, shape (C,)."""
    width_hz: float
    polarizations: tuple[int, ...]
    numbers: NDArray[np.int64]
    """Of all antennas in the header, shape (A,), like the next three."""
    names: tuple[str, ...]
    positions_m: NDArray[np.float64]
    """ITRF minus site, shape (A, 3)."""
    diameters_m: NDArray[np.float64]
    """NaN where the file does not say."""

    @property
    def descending(self) -> bool:
        """Whether the first channel is the highest."""
        return bool(self.channel_hz[0] > self.channel_hz[-1])


def subband_of(name: str) -> int | None:
    """Return NN of ``…_sbNN.hdf5``; None when the name holds no subband."""
    found = _SUBBAND.search(name)
    return int(found[1]) if found else None


def name_stamp(name: str) -> datetime | None:
    """Return the wall clock of the host in a file name; a hint only, it is up to 100 s off."""
    found = _STAMP.search(name)
    if not found:
        return None
    try:
        return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        return None


def read_header(path: Path, subbands: int) -> Header:
    """Read and check the header of a file; no visibility and no list of baselines is read.

    Parameters
    ----------
    path
        The file.
    subbands
        Files of a full set: a number in the name must be below.

    Raises
    ------
    BadInput
        If the file is empty, no HDF5, truncated, lacks a field, contradicts itself, has numbers out of bounds, or
        leads outside itself; the message names the field.
    OSError
        If it cannot be opened: that is not the file's fault and may pass.
    """
    with hdf5.opened(path) as file:
        return Header(**_summary(path, file, subbands))


def read_full_header(path: Path, subbands: int) -> FullHeader:
    """Read and check the whole header of a file; parameters and errors as `read_header`."""
    with hdf5.opened(path) as file:
        return _full(path, file, subbands)


def _bad(path: Path, what: str, reason: str) -> BadInput:
    return BadInput(f"{path}{what}; write the file again", reason=reason)


def _summary(path: Path, file: h5py.File, subbands: int) -> dict[str, Any]:
    subband = subband_of(path.name)
    if subband is not None and subband >= subbands:
        text = f"{path}: its name says subband {subband}, a full set has {subbands} counted from 0; mend the name"
        raise BadInput(text, reason="out-of-bounds")
    head = _checked(path, file)
    times = bounded(path, "Header/time_array", head["time_array"], FIRST_JD, LAST_JD, "d")
    lengths = bounded(path, "Header/integration_time", head["integration_time"], SHORTEST_S, LONGEST_S, "s")
    freq = bounded(path, "Header/freq_array", head["freq_array"], *_FREQUENCIES_HZ, "Hz").ravel()
    return {
        "path": path,
        "telescope": _text(head["telescope_name"][()]).strip(),
        "subband": subband,
        "first_jd": float(times.min()),
        "last_jd": float(times.max()),
        "integration_s": float(lengths.flat[0]),
        "integrations": len(np.unique(times)),
        "rows": len(times),
        "app_dec_rad": _declination(path, head),
        "freq_hz": float(freq[0]),
        "channels": len(freq),
    }


def _checked(path: Path, file: h5py.File) -> h5py.Group:
    """Return the header of a file whose fields are there and have the shapes they imply."""
    for name in ("Header", "Data"):
        if not isinstance(file.get(name), h5py.Group):
            raise BadInput(f"{path} has no group {name!r}, so it is no UVH5 file; remove it")
    head, data = file["Header"], file["Data"]
    missing = [name for name in _NEEDED if name not in head] + [f"Data/{n}" for n in ("visdata",) if n not in data]
    if missing:
        raise BadInput(f"{path} lacks the field {missing[0]!r} of UVH5; write the file again")
    rows, channels = head["time_array"].size, head["freq_array"].size
    if rows == 0 or channels == 0:
        raise _bad(path, f" holds {rows} rows and {channels} channels", "wrong-shape")
    cube = (rows, channels, head["polarization_array"].size)
    count = head["antenna_numbers"].size
    wanted = {"time_array": (rows,), "ant_1_array": (rows,), "ant_2_array": (rows,), "uvw_array": (rows, 3)}
    wanted |= {"antenna_names": (count,), "antenna_positions": (count, 3)}
    for name, shape in wanted.items():
        if head[name].shape != shape:
            raise _bad(path, f": Header/{name} has shape {head[name].shape}, not {shape}", "wrong-shape")
    if head["integration_time"].size not in {1, rows}:
        shape = head["integration_time"].shape
        raise _bad(path, f": Header/integration_time has shape {shape}, not {(rows,)}", "wrong-shape")
    for name in ("visdata", "flags", "nsamples"):
        if name in data and data[name].shape not in {cube, (rows, 1, *cube[1:])}:
            text = f": Data/{name} has shape {data[name].shape}, its header says {cube}"
            raise _bad(path, text, "wrong-shape")
    return head


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _declination(path: Path, head: h5py.Group) -> float:
    """Return the apparent declination of the pointing in radians."""
    for name in ("phase_center_app_dec", "extra_keywords/phase_center_dec"):
        if name in head:
            value = np.ravel(head[name][()])[:1]
            if np.isfinite(value).all():
                return float(bounded(path, f"Header/{name}", value, -np.pi / 2, np.pi / 2, "rad")[0])
    raise BadInput(f"{path} lacks 'phase_center_app_dec', the pointing; write the file again")


def _full(path: Path, file: h5py.File, subbands: int) -> FullHeader:
    summary = _summary(path, file, subbands)
    head = file["Header"]
    numbers = np.asarray(head["antenna_numbers"], np.int64)
    one, two = (np.asarray(head[f"ant_{k}_array"], np.int64) for k in (1, 2))
    unknown = np.setdiff1d(np.union1d(one, two), numbers)
    if unknown.size:
        raise _bad(path, f": a baseline has antenna {unknown[0]}, which antenna_numbers lacks", "wrong-shape")
    polarizations = tuple(int(p) for p in head["polarization_array"][()])
    if not set(polarizations) <= set(CORR_TYPES) or len(set(polarizations)) < len(polarizations):
        raise _bad(path, f": polarizations {polarizations} are not among RR…LL (-1…-4) or XX…YX (-5…-8)", "unreadable")
    widths = bounded(path, "Header/channel_width", np.abs(head["channel_width"][()]), 1.0, _FREQUENCIES_HZ[1], "Hz")
    diameters = head["antenna_diameters"][()] if "antenna_diameters" in head else np.nan
    time = np.asarray(head["time_array"], np.float64)
    return FullHeader(
        **summary,
        site=_site(path, head),
        time_jd=time,
        number1=one,
        number2=two,
        interval_s=np.broadcast_to(np.asarray(head["integration_time"], np.float64), time.shape),
        uvw_m=bounded(path, "Header/uvw_array", head["uvw_array"], -_EARTH_M, _EARTH_M, "m"),
        channel_hz=np.asarray(head["freq_array"], np.float64).ravel(),
        width_hz=float(np.ravel(widths).mean()),
        polarizations=polarizations,
        numbers=numbers,
        names=tuple(_text(name).strip() for name in head["antenna_names"][()]),
        positions_m=bounded(path, "Header/antenna_positions", head["antenna_positions"], -_EARTH_M, _EARTH_M, "m"),
        diameters_m=np.broadcast_to(np.asarray(diameters, np.float64), numbers.shape),
    )


def _site(path: Path, head: h5py.Group) -> EarthLocation | None:
    """Return the array centre that the positions of the file are relative to."""
    if not {"latitude", "longitude", "altitude"} <= set(head):
        return None
    bounds = {"latitude": (90.0, "deg"), "longitude": (360.0, "deg"), "altitude": (1e5, "m")}
    lat, lon, height = [
        float(bounded(path, f"Header/{name}", head[name][()], -most, most, unit))
        for name, (most, unit) in bounds.items()
    ]
    return EarthLocation.from_geodetic(lon * u.deg, lat * u.deg, height * u.m)


def read_data(head: Header, vis: NDArray[np.complex64], flags: NDArray[np.int8], samples: NDArray[np.float32]) -> None:
    """Read visibilities, flags and sample counts of a file, of whatever number type, into arrays that exist.

    They are given because the first touch of memory costs more than the reading, and read as a whole because a part
    would be 20 times slower.

    Parameters
    ----------
    head
        Of the file.
    vis, flags, samples
        Shape (R, C, P) as the file's: dimensionless counts, 0 for good, and samples; rows and channels in its order.
        Where the file has no flags or counts, 0 and 1.

    Raises
    ------
    BadInput
        If the file cannot be read to its end or has another shape.
    """
    with hdf5.opened(head.path) as file:
        for name, into, default in (("visdata", vis, None), ("flags", flags, 0), ("nsamples", samples, 1)):
            if default is None or f"Data/{name}" in file:
                data = file[f"Data/{name}"]
                if data.shape not in {into.shape, (into.shape[0], 1, *into.shape[1:])}:
                    raise _bad(head.path, f": {data.name} has shape {data.shape}, not {into.shape}", "wrong-shape")
                data.read_direct(into.reshape(data.shape))
            else:
                into[:] = default
