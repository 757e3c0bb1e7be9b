"""Writing one UVH5 subband file as DSA-110 does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from contimg.radio.telescopes import Telescope

__all__ = ["write"]

_SAMPLES = 96.0
"""Correlator samples in one integration; every one of them counts, as the writer knows of no flags."""


def write(  # noqa: PLR0913, PLR0917 - what a file consists of
    path: Path,
    telescope: Telescope,
    pairs: NDArray[np.int64],
    uvw_m: NDArray[np.float64],
    dec_rad: float,
    times_jd: NDArray[np.float64],
    integration_s: float,
    freq_hz: NDArray[np.float64],
    data: NDArray[np.complex64],
) -> None:
    """Write one subband exactly as the fringe-stopping program of DSA-110 lays it out.

    The layout is an old one of UVH5: one spectral window axis, ``phase_type`` drift, no phase centre catalogue. It
    is written field by field so that no library can make it more modern than the real files are.

    Parameters
    ----------
    path
        The file to make.
    telescope
        The site and its official stations, with data or without.
    pairs
        Station numbers from 1 of the B baselines, shape (B, 2).
    uvw_m
        Second minus first antenna at hour angle 0, shape (B, 3) [m].
    dec_rad
        Apparent declination of the pointing [rad].
    times_jd
        Centres of the T integrations, UTC [d].
    integration_s
        Length of an integration [s].
    freq_hz
        Channel centres, shape (C,), descending [Hz].
    data
        Visibilities, shape (T, B, C, 2), in dimensionless counts.
    """
    count, baselines = data.shape[:2]
    with h5py.File(path, "w") as handle:
        header = handle.create_group("Header")
        _put_telescope(header, len(np.unique(pairs)), telescope)
        _put_pointing(header, dec_rad, len(telescope.stations))
        _put_spectrum(header, freq_hz)
        header["Nbls"] = baselines
        header["Nblts"] = count * baselines
        header["Ntimes"] = count
        rows: dict[str, NDArray[Any]] = {
            "ant_1_array": np.tile(pairs[:, 0] - 1, count),
            "ant_2_array": np.tile(pairs[:, 1] - 1, count),
            "uvw_array": np.tile(uvw_m.astype(np.float32), (count, 1)),
            "time_array": np.repeat(times_jd, baselines),
            "integration_time": np.full(count * baselines, np.float32(integration_s), np.float64),
        }
        for name, values in rows.items():
            _growing(header, name, values, baselines)
        _put_data(handle.create_group("Data"), data)


def _growing(group: Any, name: str, values: NDArray[Any], baselines: int) -> None:
    """Write a data set that its program lets grow by one integration at a time."""
    shape = values.shape[1:]
    group.create_dataset(name, data=values, maxshape=(None, *shape), chunks=(baselines, *shape))


def _put_telescope(header: Any, used: int, telescope: Telescope) -> None:
    every = telescope.stations
    place = telescope.location
    centre = np.array([place.x.value, place.y.value, place.z.value])
    header["latitude"] = telescope.latitude_deg
    header["longitude"] = telescope.longitude_deg
    header["altitude"] = telescope.height_m
    header["telescope_name"] = np.bytes_(telescope.casa_name)
    header["instrument"] = np.bytes_("DSA")
    header["object_name"] = np.bytes_("search")
    header["history"] = np.bytes_("simulated by contimg in the layout of dsa110-meridian-fs")
    header["Nants_data"] = used
    header["Nants_telescope"] = len(every)
    header["antenna_diameters"] = np.full(len(every), telescope.dish_m)
    header["antenna_names"] = np.array([each.name for each in every], dtype="S4")
    header["antenna_numbers"] = np.array([each.number - 1 for each in every])
    header["antenna_positions"] = np.array([each.itrf_m for each in every]) - centre


def _put_pointing(header: Any, dec_rad: float, antennas: int) -> None:
    header["phase_type"] = np.bytes_("drift")
    header["phase_center_app_dec"] = dec_rad
    extra = header.create_group("extra_keywords")
    extra["phase_center_dec"] = dec_rad
    extra["ha_phase_center"] = 0.0
    extra["phase_center_epoch"] = "HADEC"
    extra["fs_table"] = np.bytes_("fringestopping_table.npz")
    # Whole nanoseconds for both polarizations of every station in one string; a fixed made-up cable per station.
    delays = np.stack([np.arange(antennas) * 7 % 501, np.arange(antennas) * 11 % 503], axis=1) * 2
    extra["applied_delays_ns"] = np.bytes_(" ".join(str(each) for each in delays.ravel()))


def _put_spectrum(header: Any, freq_hz: NDArray[np.float64]) -> None:
    header["Nfreqs"] = len(freq_hz)
    header["Npols"] = 2
    header["Nspws"] = 1
    header["spw_array"] = np.array([1])
    header["polarization_array"] = np.array([-5, -6])
    header["freq_array"] = freq_hz[np.newaxis]
    header["channel_width"] = _width(freq_hz)


def _width(freq_hz: NDArray[np.float64]) -> float:
    return float(np.abs(np.median(np.diff(freq_hz)))) if len(freq_hz) > 1 else 384 * 250e6 / 8192


def _put_data(group: Any, data: NDArray[np.complex64]) -> None:
    count, baselines, channels, products = data.shape
    flat = data.reshape(count * baselines, 1, channels, products)
    _growing(group, "visdata", flat, baselines)
    _growing(group, "flags", np.zeros(flat.shape, bool), baselines)
    _growing(group, "nsamples", np.full(flat.shape, _SAMPLES, np.float32), baselines)
