"""Write visibilities as a measurement set of version 2 with python-casacore; CASA, WSClean and pyuvdata read it.

One spectral window, one field, one data description. Bulk columns are tiled (about 1 MiB, all channels of some
rows), the others incremental; DATA is written block by block of rows, so that nothing is copied as a whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import casacore.tables as ct
import numpy as np
from numpy.typing import NDArray

from contimg.radio.memory import zeroed
from contimg.radio.telescopes import Telescope
from contimg.radio.visibilities import CORR_LETTERS, Visibilities

__all__ = ["write"]

MJD_OFFSET = 2400000.5
DAY_S = 86400.0
BLOCK_BYTES = 64 << 20
_FRAMES = {"LSRK": 1, "TOPO": 5}
_ROW_COLUMNS = ("ANTENNA1", "ANTENNA2")  # change in every row: not for an incremental storage manager


@zeroed()
def write(path: Path, data: Visibilities, telescope: Telescope) -> None:
    """Write one recording.

    Parameters
    ----------
    path
        New measurement set; must not exist.
    data
        What to write; rows in time order.
    telescope
        The one that made it: its name in CASA, its place, its dish where the data do not say.
    """
    table = _create(path, data)
    try:
        _rows(table, data)
        _bulk(table, data)
    finally:
        table.close()
    _antenna(path, data, telescope.dish_m)
    _spectral(path, data)
    _field(path, data)
    _observation(path, data, telescope)
    _feed(path, data)


def _create(path: Path, data: Visibilities) -> Any:
    """Make the empty main table with its storage managers."""
    rows, channels, corrs = data.vis.shape
    tile = max(1, min(rows, (1 << 20) // (channels * corrs * 8)))
    bulk = {
        "UVW": ("double", (3,), (3, 16384)),
        "WEIGHT": ("float", (corrs,), (corrs, 16384)),
        "SIGMA": ("float", (corrs,), (corrs, 16384)),
        "FLAG": ("boolean", (channels, corrs), (corrs, channels, 8 * tile)),
        "DATA": ("complex", (channels, corrs), (corrs, channels, tile)),
    }
    description = ct.required_ms_desc("MAIN")
    managers: list[dict[str, Any]] = []
    for name, (kind, shape, tile_shape) in bulk.items():
        column = {"valueType": kind, "maxlen": 0, "comment": "", "keywords": {}, "_c_order": True}
        column = description.setdefault(name, column)
        column.update(dataManagerType="TiledColumnStMan", dataManagerGroup=f"Tiled{name}", option=5)
        column.update(ndim=len(shape), shape=np.array(shape, np.int32))
        spec = {"DEFAULTTILESHAPE": list(tile_shape)}
        managers.append({"TYPE": "TiledColumnStMan", "NAME": f"Tiled{name}", "SPEC": spec, "COLUMNS": [name]})
    small = [n for n in description if not n.startswith("_") and n not in bulk and n != "FLAG_CATEGORY"]
    slow = [name for name in small if name not in _ROW_COLUMNS]
    for kind, group, columns in (("IncrementalStMan", "Slow", slow), ("StandardStMan", "PerRow", list(_ROW_COLUMNS))):
        managers.append({"TYPE": kind, "NAME": group, "SPEC": {"BUCKETSIZE": 65536}, "COLUMNS": columns})
        for name in columns:
            description[name].update(dataManagerType=kind, dataManagerGroup=group)
    table = ct.default_ms(str(path), tabdesc=description, dminfo={f"*{i}": m for i, m in enumerate(managers, 1)})
    table.addrows(rows)
    return table


def _rows(table: Any, data: Visibilities) -> None:
    """Write the small columns."""
    rows = len(data.time_jd)
    time = (data.time_jd - MJD_OFFSET) * DAY_S
    zero, none = np.zeros(rows, np.int32), np.full(rows, -1, np.int32)
    columns = {
        "TIME": time,
        "TIME_CENTROID": time,
        "INTERVAL": data.interval_s,
        "EXPOSURE": data.interval_s,
        "ANTENNA1": data.antenna1,
        "ANTENNA2": data.antenna2,
        "SCAN_NUMBER": np.full(rows, data.scan, np.int32),
        "PROCESSOR_ID": none,
        "STATE_ID": none,
        "FLAG_ROW": np.zeros(rows, bool),
        "UVW": data.uvw_m,
        "WEIGHT": data.weight,
        "SIGMA": _sigma(data.weight),
    }
    same = ("DATA_DESC_ID", "FIELD_ID", "ARRAY_ID", "FEED1", "FEED2", "OBSERVATION_ID")
    for name, values in (columns | dict.fromkeys(same, zero)).items():
        table.putcol(name, values)


def _sigma(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1/√weight; 0 where nothing is live."""
    return np.where(weight > 0, 1 / np.sqrt(np.where(weight > 0, weight, 1)), 0).astype(np.float32)


def _bulk(table: Any, data: Visibilities) -> None:
    rows, channels, corrs = data.vis.shape
    step = max(1, BLOCK_BYTES // (channels * corrs * 8))
    for start in range(0, rows, step):
        count = min(step, rows - start)
        table.putcol("DATA", data.vis[start : start + count], start, count)
        table.putcol("FLAG", data.flag[start : start + count], start, count)


def _put(path: Path, name: str, rows: int, columns: dict[str, Any]) -> None:
    """Fill a subtable that ``default_ms`` made empty."""
    with ct.table(str(path / name), readonly=False, ack=False) as table:
        table.addrows(rows)
        for column, values in columns.items():
            table.putcol(column, values)


def _antenna(path: Path, data: Visibilities, dish_m: float) -> None:
    count, diameter = len(data.antennas), data.antennas.diameter_m
    columns = {
        "NAME": list(data.antennas.names),
        "STATION": list(data.antennas.stations),
        "TYPE": ["GROUND-BASED"] * count,
        "MOUNT": ["ALT-AZ"] * count,
        "POSITION": data.antennas.itrf_m,
        "OFFSET": np.zeros((count, 3)),
        "DISH_DIAMETER": np.where(np.isnan(diameter), dish_m, diameter),
        "FLAG_ROW": np.zeros(count, bool),
    }
    _put(path, "ANTENNA", count, columns)


def _spectral(path: Path, data: Visibilities) -> None:
    """Write SPECTRAL_WINDOW, POLARIZATION and DATA_DESCRIPTION."""
    channels, width = len(data.freq_hz), np.full((1, len(data.freq_hz)), data.width_hz)
    window = {
        "NUM_CHAN": [channels],
        "NAME": ["band"],
        "REF_FREQUENCY": [data.freq_hz[0]],
        "CHAN_FREQ": data.freq_hz[None],
        "CHAN_WIDTH": width,
        "EFFECTIVE_BW": width,
        "RESOLUTION": width,
        "TOTAL_BANDWIDTH": [data.width_hz * channels],
        "MEAS_FREQ_REF": [_FRAMES[data.frequency_frame]],
        "NET_SIDEBAND": [1],
        "IF_CONV_CHAIN": [0],
        "FREQ_GROUP": [0],
        "FREQ_GROUP_NAME": ["band"],
        "FLAG_ROW": [False],
    }
    _put(path, "SPECTRAL_WINDOW", 1, window)
    letters = [CORR_LETTERS[kind] for kind in data.corr_types]
    products = np.array([[[0 if receptor in "XR" else 1 for receptor in pair] for pair in letters]])
    types = np.array([data.corr_types], np.int32)
    polarization = {"NUM_CORR": [len(letters)], "CORR_TYPE": types, "CORR_PRODUCT": products, "FLAG_ROW": [False]}
    _put(path, "POLARIZATION", 1, polarization)
    description = {"SPECTRAL_WINDOW_ID": [0], "POLARIZATION_ID": [0], "FLAG_ROW": [False]}
    _put(path, "DATA_DESCRIPTION", 1, description)


def _field(path: Path, data: Visibilities) -> None:
    """Write the one field, whose directions are ICRS."""
    direction = np.array([[[data.ra_rad, data.dec_rad]]])
    names = ("DELAY_DIR", "PHASE_DIR", "REFERENCE_DIR")
    time = (float(data.time_jd.mean()) - MJD_OFFSET) * DAY_S
    columns: dict[str, Any] = {"NAME": [data.source], "CODE": [""], "TIME": [time], "NUM_POLY": [0], "SOURCE_ID": [-1]}
    _put(path, "FIELD", 1, columns | {"FLAG_ROW": [False]} | dict.fromkeys(names, direction))
    with ct.table(str(path / "FIELD"), readonly=False, ack=False) as table:
        for name in names:
            table.putcolkeyword(name, "MEASINFO", {"type": "direction", "Ref": "ICRS"})


def _observation(path: Path, data: Visibilities, telescope: Telescope) -> None:
    edges = (np.array([[data.start_jd, data.end_jd]]) - MJD_OFFSET) * DAY_S
    columns = {
        "TIME_RANGE": edges,
        "TELESCOPE_NAME": [telescope.casa_name],
        "OBSERVER": ["contimg"],
        "PROJECT": [""],
        "SCHEDULE_TYPE": [""],
        "RELEASE_DATE": [edges[0, 1]],
        "FLAG_ROW": [False],
    }
    _put(path, "OBSERVATION", 1, columns)
    place = np.array([axis.to_value("m") for axis in telescope.location.geocentric])
    with ct.table(str(path / "OBSERVATION"), readonly=False, ack=False) as table:
        # pyuvdata's own column; without it, it looks the site up in the network
        table.addcols(ct.makearrcoldesc("TELESCOPE_LOCATION", 0.0, shape=[3], valuetype="double"))
        table.putcol("TELESCOPE_LOCATION", place[None])


def _feed(path: Path, data: Visibilities) -> None:
    count, letters = len(data.antennas), "RL" if data.corr_types[0] < 9 else "XY"
    columns = {
        "ANTENNA_ID": np.arange(count, dtype=np.int32),
        "FEED_ID": np.zeros(count, np.int32),
        "SPECTRAL_WINDOW_ID": np.full(count, -1, np.int32),
        "TIME": np.full(count, (float(data.time_jd.mean()) - MJD_OFFSET) * DAY_S),
        "INTERVAL": np.full(count, 1e30),
        "NUM_RECEPTORS": np.full(count, 2, np.int32),
        "BEAM_ID": np.zeros(count, np.int32),
        "BEAM_OFFSET": np.zeros((count, 2, 2)),
        "POLARIZATION_TYPE": {"shape": [count, 2], "array": list(letters) * count},
        "POL_RESPONSE": np.tile(np.eye(2, dtype=complex), (count, 1, 1)),
        "POSITION": np.zeros((count, 3)),
        "RECEPTOR_ANGLE": np.zeros((count, 2)),
    }
    _put(path, "FEED", count, columns)
