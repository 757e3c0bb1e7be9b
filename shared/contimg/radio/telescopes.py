"""Telescopes and their stations: a telescope is data."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import numpy as np
from astropy import units as u
from astropy.coordinates import EarthLocation
from numpy.typing import NDArray

from contimg.errors import BadConfig, BadInput

__all__ = ["Station", "Telescope", "stations", "telescope", "telescope_named"]


@dataclass(frozen=True)
class Telescope:
    """An interferometer of equal dishes."""

    key: str
    """Name inside Contimg."""
    casa_name: str
    """TELESCOPE_NAME in a measurement set, known to CASA's Observatories table."""
    latitude_deg: float
    """Geodetic latitude of the array centre, WGS84 [deg]."""
    longitude_deg: float
    """East longitude of the array centre [deg]."""
    height_m: float
    """Height above the ellipsoid [m]."""
    dish_m: float
    """Diameter that the beam model takes [m]."""
    beam: str
    """Beam model, one of ``beams.BEAM_MODELS``."""
    sefd_jy: float
    """System equivalent flux density of one antenna and polarization [Jy]."""
    feeds: tuple[str, str]
    """``("X", "Y")`` or ``("R", "L")``."""

    @property
    def location(self) -> EarthLocation:
        """Array centre."""
        return EarthLocation.from_geodetic(
            self.longitude_deg * u.deg, self.latitude_deg * u.deg, self.height_m * u.m, ellipsoid="WGS84"
        )


@dataclass(frozen=True)
class Station:
    """One antenna pad."""

    number: int
    """Counted from 1; the antenna is called by it."""
    name: str
    itrf_m: NDArray[np.float64]
    """Geocentric position, shape (3,) [m]."""
    active: bool
    """In use on 2026-01-25."""


_TELESCOPES = (
    # Site: the array centre of dsa110/dsa110-antpos, given there in radians; SEFD: antpos/utils.py.
    Telescope(
        key="dsa110",
        casa_name="OVRO_MMA",
        latitude_deg=float(np.degrees(0.6498455107238486)),
        longitude_deg=float(np.degrees(-2.064427799136453)),
        height_m=1188.0519,
        dish_m=4.65,
        beam="airy",
        sefd_jy=6500.0,
        feeds=("X", "Y"),
    ),
    # Site: ITRF (-1601185.365, -5041977.547, 3554875.870) m of CASA's Observatories; SEFD at 20 cm: VLA status summary.
    Telescope(
        key="vla",
        casa_name="VLA",
        latitude_deg=34.0788133,
        longitude_deg=-107.6183337,
        height_m=2114.89,
        dish_m=25.0,
        beam="airy",
        sefd_jy=420.0,
        feeds=("R", "L"),
    ),
)


def telescope(key: str) -> Telescope:
    """Return a telescope by its key.

    Raises
    ------
    BadConfig
        If there is no such key; the message offers the nearest.
    """
    known = {each.key: each for each in _TELESCOPES}
    if key in known:
        return known[key]
    nearest = get_close_matches(key, known, n=1, cutoff=0.0)[0]
    raise BadConfig(f"telescope {key!r} is unknown; did you mean {nearest!r} (known: {', '.join(known)})?")


def telescope_named(casa_name: str) -> Telescope:
    """Return a telescope by the name that data carry (``OVRO_MMA``, ``VLA``), in any case.

    Raises
    ------
    BadInput
        If the name belongs to no telescope of the list.
    """
    for each in _TELESCOPES:
        if each.casa_name.lower() == casa_name.strip().lower():
            return each
    names = ", ".join(each.casa_name for each in _TELESCOPES)
    raise BadInput(f"telescope name {casa_name!r} of the data is unknown; known are {names}, add it to contimg.radio")


@cache
def stations(key: str) -> tuple[Station, ...]:
    """Return the official stations of a telescope in order of their numbers.

    Raises
    ------
    BadConfig
        If the telescope has no packaged station list (only ``dsa110`` has).
    """
    if telescope(key).key != "dsa110":
        raise BadConfig(f"telescope {key!r} has no packaged station list; only 'dsa110' has one")
    text = (files(__package__) / "data" / "stations.csv").read_text(encoding="utf-8")
    return tuple(_station(row) for row in csv.DictReader(text.splitlines()))


def _station(row: dict[str, str]) -> Station:
    place = EarthLocation.from_geodetic(
        float(row["longitude_deg"]) * u.deg, float(row["latitude_deg"]) * u.deg, float(row["height_m"]) * u.m
    )
    itrf = np.array([axis.to_value(u.m) for axis in (place.x, place.y, place.z)], dtype=np.float64)
    itrf.setflags(write=False)
    return Station(int(row["station"]), row["station"], itrf, row["active_2026_01_25"] == "1")
