"""The header of a UVH5 file as arrays, whatever program of which year wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from astropy import units as u
from astropy.coordinates import EarthLocation
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.radio.telescopes import telescope_named

__all__ = ["Header", "read_header"]

_SUBBAND = re.compile(r"_sb(\d{2})(?=\D|$)")


@dataclass(frozen=True)
class Header:
    """What convert needs of one file."""

    path: Path
    telescope: str
    """Key of ``contimg.radio.telescopes``."""
    site: EarthLocation
    subband: int
    """From the name; 0 for a file that holds the whole band."""
    time_jd: NDArray[np.float64]
    """Shape (rows,)."""
    interval_s: NDArray[np.float64]
    number1: NDArray[np.int64]
    number2: NDArray[np.int64]
    uvw_m: NDArray[np.float64]
    """As the file has it: antenna 2 minus antenna 1; its w is the delay that was taken out."""
    freq_hz: NDArray[np.float64]
    width_hz: float
    polarizations: tuple[int, ...]
    app_dec_rad: float
    numbers: NDArray[np.int64]
    """Of all antennas in the header, like the next three."""
    names: tuple[str, ...]
    positions_m: NDArray[np.float64]
    """ITRF minus site."""
    diameters_m: NDArray[np.float64]

    @property
    def descending(self) -> bool:
        """Whether the first channel is the highest."""
        return bool(self.freq_hz[0] > self.freq_hz[-1])


def read_header(path: Path) -> Header:
    """Read the header of a UVH5 file.

    Raises
    ------
    BadInput
        If the file is missing, empty, no HDF5, truncated or lacks a field.
    """
    try:
        if path.stat().st_size == 0:
            raise BadInput(f"{path} has 0 bytes; copy it again from the correlator host")
        with h5py.File(path, "r", locking=False) as file:
            return _header(path, file["Header"])
    except KeyError as error:
        raise BadInput(f"{path} lacks a field of UVH5 ({error.args[0]}); write the file again") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as UVH5 ({error}); copy it again") from error


def _header(path: Path, head: h5py.Group) -> Header:
    times = np.asarray(head["time_array"], np.float64)
    telescope = telescope_named(_text(head["telescope_name"][()]))
    numbers = np.asarray(head["antenna_numbers"], np.int64)
    freq = np.asarray(head["freq_array"], np.float64).ravel()
    diameters = np.asarray(head["antenna_diameters"], float) if "antenna_diameters" in head else telescope.dish_m
    found = _SUBBAND.search(path.name)
    return Header(
        path=path,
        telescope=telescope.key,
        site=_site(head, telescope.location),
        subband=int(found[1]) if found else 0,
        time_jd=times,
        interval_s=np.broadcast_to(np.asarray(head["integration_time"], np.float64), times.shape),
        number1=np.asarray(head["ant_1_array"], np.int64),
        number2=np.asarray(head["ant_2_array"], np.int64),
        uvw_m=np.asarray(head["uvw_array"], np.float64),
        freq_hz=freq,
        width_hz=float(np.abs(np.ravel(head["channel_width"][()])).mean()),
        polarizations=tuple(int(p) for p in head["polarization_array"][()]),
        app_dec_rad=_declination(path, head),
        numbers=numbers,
        names=tuple(_text(name).strip() for name in head["antenna_names"][()]),
        positions_m=np.asarray(head["antenna_positions"], np.float64),
        diameters_m=np.broadcast_to(diameters, numbers.shape),
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _site(head: h5py.Group, official: EarthLocation) -> EarthLocation:
    """Return the array centre that the positions of the file are relative to."""
    if not {"latitude", "longitude", "altitude"} <= set(head):
        return official
    lat, lon, height = (float(head[name][()]) for name in ("latitude", "longitude", "altitude"))
    return EarthLocation.from_geodetic(lon * u.deg, lat * u.deg, height * u.m)


def _declination(path: Path, head: h5py.Group) -> float:
    extra = head.get("extra_keywords")
    for group, name in ((head, "phase_center_app_dec"), (extra, "phase_center_dec")):
        if group is not None and name in group:
            return float(np.ravel(group[name][()])[0])
    raise BadInput(f"{path} lacks 'phase_center_app_dec', the pointing; write the file again")
