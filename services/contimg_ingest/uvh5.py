"""The header of a UVH5 file: what ingest must know of it, and everything that can be wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from contimg_ingest.policy import Reason, Refused

__all__ = ["Header", "name_stamp", "read_header", "subband_of"]

DAY_S = 86400.0
_SUBBAND = re.compile(r"_sb(\d{2})(?=\D|$)")
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
    """What one UVH5 file says about itself."""

    path: Path
    telescope: str
    subband: int | None
    """From the name; None for a file that holds the whole band."""
    first_jd: float
    """Centre of the first integration, UTC."""
    last_jd: float
    integration_s: float
    integrations: int
    rows: int
    app_dec_deg: float
    """Pointing: apparent declination of date, in degrees."""
    freq_hz: float
    """Centre of the first channel as written."""
    step_hz: float
    """From one channel to the next; negative for a descending band."""
    channels: int

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


def read_header(path: Path) -> Header:
    """Read and check the header of a UVH5 file; no visibility is read.

    Raises
    ------
    Refused
        If the file is empty, no HDF5, truncated, lacks a field or contradicts itself.
    OSError
        If it cannot be opened: that is not the file's fault and may pass.
    """
    path.open("rb").close()  # h5py would call a file without permission no HDF5
    if path.stat().st_size == 0:
        raise Refused(Reason.EMPTY, f"{path} has 0 bytes; copy it again from the correlator host")
    if not h5py.is_hdf5(path):
        raise Refused(Reason.UNREADABLE, f"{path} is no HDF5 file (wrong signature); remove it or copy it again")
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _header(path, file)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, IndexError) as error:
        reason = Reason.TRUNCATED if "truncated" in str(error) else Reason.UNREADABLE
        raise Refused(reason, f"{path} cannot be read as UVH5 ({error}); copy it again") from error


def _header(path: Path, file: h5py.File) -> Header:
    head = _group(path, file, "Header")
    data = _group(path, file, "Data")
    missing = [name for name in _NEEDED if name not in head] + [f"Data/{n}" for n in ("visdata",) if n not in data]
    if missing:
        raise Refused(Reason.UNREADABLE, f"{path} lacks the field {missing[0]!r} of UVH5; write the file again")
    times = np.asarray(head["time_array"], float)
    freq = np.asarray(head["freq_array"], float).ravel()
    _check_shapes(path, head, data, len(times), len(freq))
    if not (np.isfinite(times).all() and np.isfinite(freq).all()):
        raise Refused(Reason.UNREADABLE, f"{path} holds NaN in time_array or freq_array; write the file again")
    return Header(
        path=path,
        telescope=_text(head["telescope_name"][()]),
        subband=subband_of(path.name),
        first_jd=float(times.min()),
        last_jd=float(times.max()),
        integration_s=float(np.ravel(head["integration_time"][()])[0]),
        integrations=len(np.unique(times)),
        rows=len(times),
        app_dec_deg=float(np.degrees(_declination(path, head))),
        freq_hz=float(freq[0]),
        step_hz=float(freq[1] - freq[0]) if len(freq) > 1 else float(np.ravel(head["channel_width"][()])[0]),
        channels=len(freq),
    )


def _group(path: Path, file: h5py.File, name: str) -> h5py.Group:
    if name not in file:
        raise Refused(Reason.UNREADABLE, f"{path} has no group {name!r}, so it is no UVH5 file; remove it")
    return file[name]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_shapes(path: Path, head: h5py.Group, data: h5py.Group, rows: int, channels: int) -> None:
    """Every array must have the length its header implies; a spectral-window axis of length 1 is allowed."""
    if rows == 0 or channels == 0:
        raise Refused(Reason.WRONG_SHAPE, f"{path} holds {rows} rows and {channels} channels; write the file again")
    pols = np.size(head["polarization_array"])
    for name in ("visdata", "flags", "nsamples"):
        if name not in data:
            continue
        shape = data[name].shape
        if shape not in {(rows, channels, pols), (rows, 1, channels, pols)}:
            wanted = (rows, channels, pols)
            text = f"{path}: Data/{name} has shape {shape}, its header says {wanted}; write the file again"
            raise Refused(Reason.WRONG_SHAPE, text)
    wanted_rows = {"ant_1_array": (rows,), "ant_2_array": (rows,), "uvw_array": (rows, 3)}
    for name, shape in wanted_rows.items():
        if head[name].shape != shape:
            text = f"{path}: Header/{name} has shape {head[name].shape}, not {shape}; write the file again"
            raise Refused(Reason.WRONG_SHAPE, text)


def _declination(path: Path, head: h5py.Group) -> float:
    """Return the apparent declination of the pointing in radians."""
    extra = head.get("extra_keywords")
    for group, name in ((head, "phase_center_app_dec"), (extra, "phase_center_dec")):
        if group is not None and name in group:
            value = float(np.ravel(group[name][()])[0])
            if np.isfinite(value):
                return value
    raise Refused(Reason.UNREADABLE, f"{path} lacks 'phase_center_app_dec', the pointing; write the file again")
