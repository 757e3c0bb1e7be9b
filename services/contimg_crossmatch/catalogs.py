"""Reference catalogs: any table astropy reads, with a few agreed columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units
from astropy.io.registry import IORegistryError
from astropy.table import Table
from numpy.typing import NDArray

from contimg.errors import BadConfig

__all__ = ["COLUMNS", "Catalog", "join", "read_catalog", "unit_vectors"]

Array = NDArray[np.float64]

COLUMNS = {"ra_deg": units.deg, "dec_deg": units.deg, "flux_jy": units.Jy, "frequency_hz": units.Hz}
"""Columns every catalog must have, besides ``name``, and the unit their names promise."""


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
        """Return the chosen sources."""
        return Catalog(*(column[which] for column in vars(self).values()))


def unit_vectors(ra_deg: Array, dec_deg: Array) -> Array:
    """Return directions as unit vectors, (n, 3)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _read(path: Path) -> Table:
    forms = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}
    try:
        return Table.read(path, format=forms.get(path.suffix.lower()))
    except (OSError, ValueError, TypeError, KeyError, IORegistryError) as error:
        first = str(error).strip().splitlines()[0]
        msg = f"catalog {path.name} cannot be read as a table ({first}); give FITS, VOTable, ECSV or CSV"
        raise BadConfig(msg) from error


def _column(table: Table, file: str, name: str, unit: units.Unit) -> Array:
    column = table[name]
    try:
        values: Array = np.ma.asarray(column, dtype=float).filled(np.nan)
        if column.unit is not None:
            values = values * column.unit.to(unit)
    except (ValueError, TypeError, units.UnitConversionError) as error:
        msg = f"catalog {file}, column {name!r} holds {column.dtype} in {column.unit}, not numbers in {unit}"
        raise BadConfig(msg) from error
    return np.asarray(values, dtype=float)


def read_catalog(path: Path, frequency_hz: float, spectral_index: float) -> Catalog:
    """Read a catalog and scale its fluxes to a frequency.

    Parameters
    ----------
    path
        A table with columns ``name, ra_deg, dec_deg, flux_jy, frequency_hz`` and perhaps ``spectral_index``.
    frequency_hz
        Where the fluxes are wanted.
    spectral_index
        For sources that have none, S ∝ ν^α.

    Raises
    ------
    BadConfig
        If the file is no table or a column is missing or has a wrong unit.
    """
    table = _read(path)
    missing = [name for name in ("name", *COLUMNS) if name not in table.colnames]
    if missing:
        msg = f"catalog {path.name} has no column {missing[0]!r}; it needs name, {', '.join(COLUMNS)}"
        raise BadConfig(msg)
    ra, dec, flux, frequency = (_column(table, path.name, name, unit) for name, unit in COLUMNS.items())
    index = np.full(ra.size, spectral_index)
    if "spectral_index" in table.colnames:
        given = _column(table, path.name, "spectral_index", units.dimensionless_unscaled)
        index = np.where(np.isfinite(given), given, index)
    with np.errstate(invalid="ignore", divide="ignore"):
        flux = flux * (frequency_hz / frequency) ** index
    names = np.array([str(name) for name in table["name"]], dtype=np.str_)
    whole = Catalog(np.full(ra.size, path.name), names, ra % 360.0, dec, flux)
    return whole.take(np.isfinite(ra) & np.isfinite(dec) & np.isfinite(flux))


def join(catalogs: list[Catalog]) -> Catalog:
    """Return several catalogs as one, in their order."""
    columns = zip(*(vars(catalog).values() for catalog in catalogs), strict=True)
    return Catalog(*(np.concatenate(list(parts)) for parts in columns))
