"""A second reader of drift-scan UVH5 files, all by pyuvdata: the reference that the own one is compared with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pyuvdata import UVData

from contimg.instruments import telescope_named
from contimg.radio.uvfits.read import from_uvdata
from contimg.radio.visibilities import Visibilities
from contimg_convert import drift

__all__ = ["read_drift", "read_uvh5"]

_LOOSE: dict[str, bool] = {"run_check": False, "check_extra": False, "run_check_acceptability": False}


def read_drift(paths: Sequence[Path]) -> Visibilities:
    """Read a drift-scan UVH5 file set and phase it to the meridian at mid-time, all by pyuvdata.

    Missing subbands are not filled in: this is the reference for the own reader, which does that.
    """
    whole: Any = None
    for path in paths:
        part = read_uvh5(path)
        whole = part if whole is None else whole.fast_concat(part, "freq", **_LOOSE)
    times = np.unique(whole.time_array)
    dec = float(np.ravel(whole.phase_center_app_dec)[0])
    ra_icrs, dec_icrs = drift.phase_centre(times, dec, telescope_named(whole.telescope.name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        whole.phase(lon=ra_icrs, lat=dec_icrs, phase_frame="icrs", cat_name="meridian", use_ant_pos=True)
    result = from_uvdata(whole)
    result.app_dec_rad = dec
    return result


def read_uvh5(path: Path) -> Any:
    uv = UVData()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        uv.read(str(path), file_type="uvh5", background_lsts=False, **_LOOSE)
    uv.uvw_array = np.asarray(uv.uvw_array, np.float64)
    uv.flag_array = np.asarray(uv.flag_array, bool)
    uv.integration_time = np.full(uv.Nblts, uv.integration_time, np.float64)
    _as_driftscan(uv)
    return uv


def _as_driftscan(uv: Any) -> None:
    """Tell pyuvdata what the legacy header means: fringes stopped at hour angle 0 and the apparent declination.

    It takes ``phase_type: drift`` for zenith phasing (science-stack.md, pitfall 24).
    """
    (identity,) = uv.phase_center_catalog
    entry = uv.phase_center_catalog[identity]
    if entry["cat_type"] != "unprojected":
        return
    latitude = float(uv.telescope.location.lat.rad)
    dec = _pointing(uv)
    entry.update(cat_type="driftscan", cat_frame="altaz", cat_epoch=2000.0)
    entry.update(cat_lon=np.pi if dec < latitude else 0.0, cat_lat=np.pi / 2 - abs(latitude - dec))
    uv._set_app_coords_helper()
    uv.phase_center_app_dec = np.full(uv.Nblts, dec)


def _pointing(uv: Any) -> float:
    if "phase_center_dec" in uv.extra_keywords:
        return float(uv.extra_keywords["phase_center_dec"])
    return float(np.ravel(uv.phase_center_app_dec)[0])
