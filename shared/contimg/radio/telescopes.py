"""What the astronomy must know of an interferometer; which ones there are is said by the instruments."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from astropy import units as u
from astropy.coordinates import EarthLocation
from numpy.typing import NDArray

__all__ = ["Station", "Telescope"]


@dataclass(frozen=True)
class Station:
    """One antenna pad."""

    number: int
    """Counted from 1; the antenna is called by it."""
    name: str
    itrf_m: NDArray[np.float64]
    """Geocentric position, shape (3,) [m]."""
    active: bool
    """In use, as far as the packaged list knows."""


@dataclass(frozen=True)
class Telescope:
    """An interferometer of equal dishes."""

    key: str
    """Name of its instrument."""
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
    drift_scan: bool = False
    """The dishes stand still on the meridian, the sky drifts through their beam."""
    stations: tuple[Station, ...] = field(default=(), repr=False, compare=False)
    """Official stations in order of their numbers, where the instrument has a list."""

    @property
    def location(self) -> EarthLocation:
        """Array centre."""
        return EarthLocation.from_geodetic(
            self.longitude_deg * u.deg, self.latitude_deg * u.deg, self.height_m * u.m, ellipsoid="WGS84"
        )

    def is_named(self, name: str) -> bool:
        """Tell whether data that carry this name, in any case, are of this telescope."""
        return name.strip().lower() == self.casa_name.lower()
