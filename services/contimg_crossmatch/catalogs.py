"""Reference catalogs at the frequency of a mosaic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contimg.radio import catalog

__all__ = ["Catalog", "join", "read_catalog", "unit_vectors"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Catalog:
    """Point sources of one or several files; arrays are (n,)."""

    file: NDArray[np.str_]
    name: NDArray[np.str_]
    ra_deg: Array
    dec_deg: Array
    flux_jy: Array
    """At the mosaic's frequency."""

    def __len__(self) -> int:
        """Return the number of sources."""
        return int(self.ra_deg.size)

    def take(self, which: NDArray[np.bool_]) -> Catalog:
        """Return the sources of a mask of shape (n,)."""
        return Catalog(*(column[which] for column in vars(self).values()))


def unit_vectors(ra_deg: Array, dec_deg: Array) -> Array:
    """Return directions (n,) [deg] as unit vectors, shape (n, 3), pure numbers."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def read_catalog(path: Path, frequency_hz: float, spectral_index: float) -> Catalog:
    """Read a reference catalog and scale its fluxes to a frequency.

    Parameters
    ----------
    path
        See :func:`contimg.radio.catalog.read`.
    frequency_hz
        Where the fluxes are wanted [Hz].
    spectral_index
        For sources that have none, S ∝ ν^α.

    Raises
    ------
    BadConfig
        If the file is no table or a column is missing or has a wrong unit.
    """
    found = catalog.read(path)
    flux = found.flux_jy * (frequency_hz / found.frequency_hz) ** found.indices(spectral_index)
    return Catalog(np.full(len(found), path.name), found.name, found.ra_deg % 360.0, found.dec_deg, flux)


def join(catalogs: list[Catalog]) -> Catalog:
    """Return several catalogs as one, in their order."""
    columns = zip(*(vars(each).values() for each in catalogs), strict=True)
    return Catalog(*(np.concatenate(list(parts)) for parts in columns))
