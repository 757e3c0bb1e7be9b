"""Catalogs of radio sources: reference catalogs of others, and the tables that a mosaic gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.io.registry import IORegistryError
from astropy.table import QTable, Table
from numpy.typing import NDArray

from contimg.errors import BadConfig

__all__ = ["COLUMNS", "Catalog", "read", "read_ecsv", "write", "write_ecsv", "write_fits"]

COLUMNS = {"ra_deg": units.deg, "dec_deg": units.deg, "flux_jy": units.Jy, "frequency_hz": units.Hz}
"""Columns every reference catalog must have, besides ``name``, and the unit their names promise."""

_FORMS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}


@dataclass(frozen=True)
class Catalog:
    """Point sources of a reference catalog, arrays of shape (N,)."""

    name: NDArray[np.str_]
    ra_deg: NDArray[np.float64]
    """ICRS."""
    dec_deg: NDArray[np.float64]
    flux_jy: NDArray[np.float64]
    """At ``frequency_hz``, above 0."""
    frequency_hz: NDArray[np.float64]
    spectral_index: NDArray[np.float64]
    """S ~ ν^α; NaN: not given."""

    def __len__(self) -> int:
        """Return the number of sources."""
        return int(self.ra_deg.size)

    def indices(self, default: float) -> NDArray[np.float64]:
        """Return the spectral indices, shape (N,), pure numbers; the default where none is given."""
        return np.where(np.isfinite(self.spectral_index), self.spectral_index, default)


def read(path: Path) -> Catalog:
    """Read a reference catalog: any table astropy reads with ``name`` and `COLUMNS`, perhaps ``spectral_index``.

    Units of the columns are honoured. Sources without a position, a flux above 0 or its frequency are left out.

    Raises
    ------
    BadConfig
        If the file is no table or a column is missing or has a wrong unit.
    """
    try:
        table = Table.read(path, format=_FORMS.get(path.suffix.lower()))
    except (OSError, ValueError, TypeError, KeyError, IORegistryError) as error:
        first = str(error).strip().splitlines()[0]
        text = f"catalog {path} cannot be read as a table ({first}); give FITS, VOTable, ECSV or CSV"
        raise BadConfig(text) from error
    missing = [name for name in ("name", *COLUMNS) if name not in table.colnames]
    if missing:
        raise BadConfig(f"catalog {path} has no column {missing[0]!r}; it needs name, {', '.join(COLUMNS)}")
    ra, dec, flux, frequency = (_column(table, path, name, unit) for name, unit in COLUMNS.items())
    index = np.full(len(table), np.nan)
    if "spectral_index" in table.colnames:
        index = _column(table, path, "spectral_index", units.dimensionless_unscaled)
    names = np.array([str(name) for name in table["name"]], dtype=np.str_)
    use = np.isfinite(ra + dec + flux + frequency) & (flux > 0) & (frequency > 0)
    return Catalog(names[use], *(column[use] for column in (ra, dec, flux, frequency, index)))


def _column(table: Table, path: Path, name: str, unit: units.Unit) -> NDArray[np.float64]:
    column = table[name]
    try:
        values: NDArray[np.float64] = np.ma.asarray(column, dtype=float).filled(np.nan)
        if column.unit is not None:
            values = values * column.unit.to(unit)
    except (ValueError, TypeError, units.UnitConversionError) as error:
        text = f"catalog {path}, column {name!r} holds {column.dtype} in {column.unit}, not numbers in {unit}"
        raise BadConfig(f"{text}; mend the column") from error
    return np.asarray(values, dtype=float)


def write(path: Path, catalog: Catalog) -> None:
    """Write a reference catalog as ECSV."""
    names = ("name", "ra_deg", "dec_deg", "flux_jy", "spectral_index", "frequency_hz")
    Table({name: getattr(catalog, name) for name in names}).write(path, format="ascii.ecsv")


def write_fits(path: Path, tables: Mapping[str, QTable], cards: Mapping[str, Any]) -> None:
    """Write tables as extensions; the cards go into the primary header and each extension."""
    primary = fits.PrimaryHDU()
    hdus = [primary]
    for name, table in tables.items():
        hdu = fits.table_to_hdu(Table(table))
        hdu.name = name
        for number, column in enumerate(table.colnames, start=1):
            hdu.header[f"TCOMM{number}"] = table[column].info.description
        hdus.append(hdu)
    for hdu in hdus:
        hdu.header.update(cards)
    fits.HDUList(hdus).writeto(path)


def write_ecsv(path: Path, table: QTable, cards: Mapping[str, Any]) -> None:
    """Write a table as ECSV with the same facts as meta data."""
    copy = QTable(table)
    copy.meta = dict(cards)
    copy.write(path, format="ascii.ecsv")


def read_ecsv(path: Path) -> QTable:
    """Read a table that :func:`write_ecsv` wrote."""
    return QTable.read(path, format="ascii.ecsv")
