"""Reading one scan of a UVFITS file by pyuvdata as visibilities in the sense of a measurement set.

pyuvdata keeps V = Σ I exp(+2πi (ul+vm+wn)) with uvw = antenna2 - antenna1; a measurement set holds the conjugate
with the opposite uvw.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray
from pyuvdata import UVData

from contimg.errors import BadInput
from contimg.radio.uvfits.scans import opened, utc_offset_s
from contimg.radio.visibilities import CORR_LETTERS, CORR_TYPES, Antennas, Visibilities

__all__ = ["from_uvdata", "read_scan"]

DAY_S = 86400.0
_LOOSE: dict[str, bool] = {"run_check": False, "check_extra": False, "run_check_acceptability": False}


def read_scan(path: Path, start_jd: float, end_jd: float, source: str, scan: int) -> Visibilities:
    """Read one scan of a UVFITS file.

    Parameters
    ----------
    path
        UVFITS file with one or more sources.
    start_jd, end_jd
        UTC edges of the scan.
    source
        Name of the source in the file; empty for a file with one.
    scan
        Number of the scan, kept in the measurement set.

    Raises
    ------
    BadInput
        If the file cannot be read or holds nothing in that time.
    """
    with opened(path) as hdus:
        offset = utc_offset_s(hdus["AIPS AN"]) / DAY_S
    uv = UVData()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # old files lack keywords; what matters is checked below
            select: dict[str, Any] = {"time_range": [start_jd + offset, end_jd + offset]}
            if source:
                select["catalog_names"] = [source]
            uv.read(str(path), file_type="uvfits", background_lsts=False, **select, **_LOOSE)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        what = f"{path}, scan {scan} of {source!r}, cannot be read by pyuvdata ({error})"
        raise BadInput(f"{what}; copy it again") from error
    # to 10 ms, as good as the float32 day fractions of the format
    uv.time_array = np.round((uv.time_array - offset) * DAY_S * 100) / (DAY_S * 100)
    frame = str(uv.extra_keywords.get("SPECSYS", "TOPO")).strip().upper()
    return from_uvdata(uv, scan=scan, frequency_frame="LSRK" if frame.startswith("LSR") else "TOPO")


def from_uvdata(uv: Any, *, scan: int = 1, frequency_frame: str = "TOPO") -> Visibilities:
    """Turn a phased UVData object with one source into visibilities.

    Parameters
    ----------
    uv
        A pyuvdata ``UVData`` with shapes (rows, channels, polarizations).
    scan
        Its number.
    frequency_frame
        ``TOPO`` or ``LSRK``.

    Raises
    ------
    BadInput
        If it holds several sources, polarizations that are not linear or circular, or unequal channels.
    """
    ids = np.unique(uv.phase_center_id_array)
    if len(ids) != 1:
        raise BadInput(f"{uv.filename} holds {len(ids)} phase centres in one scan; select one source")
    entry = uv.phase_center_catalog[int(ids[0])]
    antennas, index = _antennas(uv)
    one, two = index[uv.ant_1_array], index[uv.ant_2_array]
    swap = one > two
    one, two = np.where(swap, two, one), np.where(swap, one, two)
    order = np.lexsort((two, one, uv.time_array))
    types = [CORR_TYPES.get(int(p), 0) for p in uv.polarization_array]
    if 0 in types:
        what = f"polarizations {uv.polarization_array} are not among RR…LL or XX…YY"
        raise BadInput(f"{uv.filename}: {what}; convert them first")
    channels = np.argsort(uv.freq_array)
    freq, width = _grid(uv, channels)
    pol = np.argsort(types)
    vis, flag, samples = (
        np.ascontiguousarray(a[order][:, channels][:, :, pol])
        for a in (np.conj(uv.data_array), uv.flag_array, uv.nsample_array)
    )
    _conjugate(vis, flag, swap[order], [types[p] for p in pol])
    wrong = ~np.isfinite(vis)
    blank = wrong | (vis == 0)
    vis[blank], flag = 0, flag.astype(bool) | blank
    ra, dec = _icrs(entry)
    return Visibilities(
        telescope=str(uv.telescope.name),
        antennas=antennas,
        vis=vis.astype(np.complex64),
        flag=flag,
        weight=_weight(samples, flag),
        uvw_m=(np.where(swap, 1.0, -1.0)[:, None] * uv.uvw_array)[order],
        time_jd=np.asarray(uv.time_array)[order],
        interval_s=np.broadcast_to(uv.integration_time, uv.time_array.shape)[order].astype(float),
        antenna1=one[order].astype(np.int32),
        antenna2=two[order].astype(np.int32),
        freq_hz=freq,
        width_hz=width,
        corr_types=tuple(types[p] for p in pol),
        ra_rad=ra,
        dec_rad=dec,
        source=str(entry["cat_name"]),
        frequency_frame=frequency_frame,
        scan=scan,
        not_finite=int(np.count_nonzero(wrong)),
    )


def _conjugate(vis: NDArray[Any], flag: NDArray[Any], rows: NDArray[np.bool_], types: list[int]) -> None:
    """Turn the baselines of the given rows round: conjugate, and cross hands change places (RL is LR)."""
    vis[rows] = np.conj(vis[rows])
    turned = [types.index({v: k for k, v in CORR_LETTERS.items()}[CORR_LETTERS[kind][::-1]]) for kind in types]
    if turned != list(range(len(types))):
        vis[rows] = vis[rows][:, :, turned]
        flag[rows] = flag[rows][:, :, turned]


def _weight(samples: NDArray[np.float32], flag: NDArray[np.bool_]) -> NDArray[np.float32]:
    live = ~flag
    return np.asarray((samples * live).sum(1) / np.maximum(live.sum(1), 1), np.float32)


def _grid(uv: Any, channels: NDArray[np.intp]) -> tuple[NDArray[np.float64], float]:
    freq = np.asarray(uv.freq_array, float).ravel()[channels]
    width = float(np.abs(np.ravel(uv.channel_width)).mean())
    if len(freq) > 1:
        steps = np.diff(freq)
        if np.ptp(steps) > 0.01 * width:
            what = f"channels are {steps.min():.0f} to {steps.max():.0f} Hz apart"
            raise BadInput(f"{uv.filename}: {what}, not equally far; select one contiguous band")
    return freq, width


def _antennas(uv: Any) -> tuple[Antennas, NDArray[np.int64]]:
    """Return the antennas with data and a table from antenna number to their index.

    casacore names VLA antennas by number and keeps the pad (``VLA:N2``) as the station; so do we.
    """
    telescope = uv.telescope
    used = np.isin(telescope.antenna_numbers, np.union1d(uv.ant_1_array, uv.ant_2_array))
    numbers = np.asarray(telescope.antenna_numbers)[used]
    stations = [str(name) for name, use in zip(telescope.antenna_names, used, strict=True) if use]
    names = [str(n) if ":" in name else name for n, name in zip(numbers, stations, strict=True)]
    index = np.full(int(numbers.max()) + 1, -1)
    index[numbers] = np.arange(len(numbers))
    centre = np.array([axis.to_value(u.m) for axis in telescope.location.geocentric])
    dishes = telescope.antenna_diameters
    if dishes is None:
        dishes = np.full(len(telescope.antenna_numbers), np.nan)
    positions = np.asarray(telescope.antenna_positions)[used] + centre
    return Antennas(tuple(names), tuple(stations), positions, np.asarray(dishes, float)[used]), index


def _icrs(entry: dict[str, Any]) -> tuple[float, float]:
    place = SkyCoord(entry["cat_lon"] * u.rad, entry["cat_lat"] * u.rad, frame=entry["cat_frame"]).icrs
    return float(place.ra.rad), float(place.dec.rad)
