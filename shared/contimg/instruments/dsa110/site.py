"""DSA-110 as a telescope: its place, dishes and stations."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import numpy as np
from astropy import units as u
from astropy.coordinates import EarthLocation

from contimg.radio.telescopes import Station, Telescope

__all__ = ["dsa110"]


@cache
def dsa110() -> Telescope:
    """Return the telescope; centre from dsa110/dsa110-antpos (given there in radians), SEFD from antpos/utils.py."""
    return Telescope(
        key="dsa110",
        casa_name="OVRO_MMA",
        latitude_deg=float(np.degrees(0.6498455107238486)),
        longitude_deg=float(np.degrees(-2.064427799136453)),
        height_m=1188.0519,
        dish_m=4.65,
        beam="airy",
        sefd_jy=6500.0,
        feeds=("X", "Y"),
        drift_scan=True,
        stations=_stations(),
    )


def _stations() -> tuple[Station, ...]:
    """Return the 117 stations of the packaged list; ``active``: present in data of 2026-01-25."""
    text = (files(__package__) / "data" / "stations.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    longitude, latitude, height = (
        np.array([float(row[name]) for row in rows]) for name in ("longitude_deg", "latitude_deg", "height_m")
    )
    place = EarthLocation.from_geodetic(longitude * u.deg, latitude * u.deg, height * u.m)
    itrf = np.stack([axis.to_value(u.m) for axis in (place.x, place.y, place.z)], axis=-1)
    itrf.setflags(write=False)
    return tuple(
        Station(int(row["station"]), row["station"], xyz, row["active_2026_01_25"] == "1")
        for row, xyz in zip(rows, itrf, strict=True)
    )
