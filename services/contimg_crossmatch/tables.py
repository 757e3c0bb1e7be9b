"""The catalog of a mosaic as tables with units and descriptions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from numpy.typing import NDArray

from contimg_crossmatch.catalogs import Catalog
from contimg_crossmatch.finder import Flag, Source
from contimg_crossmatch.match import Matches, Photometry
from contimg_crossmatch.sky import Sky

__all__ = ["forced_table", "source_table"]

Array = NDArray[np.float64]


def _names(ra_deg: Array, dec_deg: Array) -> list[str]:
    """Return IAU names ``J152154.95+045830.8``; equal ones get a letter."""
    at = SkyCoord(ra_deg, dec_deg, unit="deg")
    ra = at.ra.to_string(units.hourangle, sep="", precision=2, pad=True)
    dec = at.dec.to_string(units.deg, sep="", precision=1, pad=True, alwayssign=True)
    names, seen = [], Counter[str]()
    for a, b in zip(np.atleast_1d(ra), np.atleast_1d(dec), strict=True):
        name = f"J{a}{b}"
        names.append(name + "abcdefghij"[min(seen[name] - 1, 9)] if seen[name] else name)
        seen[name] += 1
    return names


def _add(table: Table, name: str, values: Any, unit: Any, description: str) -> None:
    table[name] = np.asarray(values) if unit is None else np.asarray(values, dtype=float) * unit
    table[name].info.description = description


def source_table(sky: Sky, sources: list[Source], catalog: Catalog | None, matches: Matches | None) -> QTable:
    """Return one row per source.

    Fluxes are apparent, not corrected for the primary beam, when the mosaic is not; ``beam_gain`` tells.
    """
    jy, beam, arcsec = units.Jy, units.Jy / units.beam, units.arcsec
    column = {key: np.array([getattr(s, key) for s in sources], dtype=float) for key in Source.__annotations__}
    if sources:
        ra, dec = sky.wcs.wcs_pix2world(column["x"], column["y"], 0)
    else:
        ra = dec = np.empty(0)
    table = QTable()
    _add(table, "id", np.array(_names(ra, dec), dtype="U24") if sources else np.empty(0, "U24"), None, "IAU name")
    _add(table, "ra", ra % 360.0, units.deg, "right ascension, ICRS")
    _add(table, "dec", dec, units.deg, "declination, ICRS")
    _add(table, "ra_err", column["x_err"] * sky.cell_arcsec, arcsec, "standard error of ra cos(dec), noise only")
    _add(table, "dec_err", column["y_err"] * sky.cell_arcsec, arcsec, "standard error of dec, noise only")
    _add(table, "peak", column["peak"], beam, "peak of the fitted Gaussian")
    _add(table, "peak_err", column["peak_err"], beam, "standard error of the peak")
    _add(table, "flux", column["flux"], jy, "flux density: integral of the Gaussian if resolved, else its peak")
    _add(table, "flux_err", column["flux_err"], jy, "standard error: noise, and flux_scale_error of the parameters")
    _add(table, "rms", column["rms"], jy, "local noise (per beam)")
    _add(table, "major", column["major"], arcsec, "fitted major axis (FWHM), not deconvolved")
    _add(table, "minor", column["minor"], arcsec, "fitted minor axis (FWHM), not deconvolved")
    _add(table, "pa", column["pa"], units.deg, "position angle, north through east")
    bits = ", ".join(f"{flag.value} {(flag.name or '').lower()}" for flag in Flag)
    _add(table, "flags", np.array([int(s.flags) for s in sources], np.int32), None, f"bits: {bits}")
    gain = sky.gain_at(column["x"], column["y"])
    _add(table, "beam_gain", gain, units.dimensionless_unscaled, "primary beam; true flux is flux / beam_gain")
    _add_match(table, len(sources), catalog, matches, gain)
    return table


def _add_match(table: QTable, count: int, catalog: Catalog | None, matches: Matches | None, gain: Array) -> None:
    name, file = np.full(count, "", dtype="U64"), np.full(count, "", dtype="U64")
    separation, flux = np.full(count, np.nan), np.full(count, np.nan)
    if catalog is not None and matches is not None and len(catalog):
        hit = matches.index >= 0
        name[hit], file[hit] = catalog.name[matches.index[hit]], catalog.file[matches.index[hit]]
        separation, flux[hit] = matches.separation_arcsec, catalog.flux_jy[matches.index[hit]]
    ratio = np.asarray(table["flux"].value) / gain / flux if count else np.empty(0)
    _add(table, "match", name, None, "nearest catalog source within the radius; empty: none")
    _add(table, "match_catalog", file, None, "file of that catalog")
    _add(table, "separation", separation, units.arcsec, "distance to the match")
    _add(table, "match_flux", flux, units.Jy, "flux density of the match at the mosaic's frequency")
    _add(table, "flux_ratio", ratio, units.dimensionless_unscaled, "flux / beam_gain / match_flux")


def forced_table(catalog: Catalog, photometry: Photometry, gain: Array, found: NDArray[np.bool_]) -> QTable:
    """Return one row per catalog source inside the mosaic; gain (pure number) and ``found`` have shape (m,)."""
    table = QTable()
    _add(table, "name", catalog.name, None, "name in the catalog")
    _add(table, "catalog", catalog.file, None, "file of the catalog")
    _add(table, "ra", catalog.ra_deg, units.deg, "right ascension of the catalog, ICRS")
    _add(table, "dec", catalog.dec_deg, units.deg, "declination of the catalog, ICRS")
    _add(table, "catalog_flux", catalog.flux_jy, units.Jy, "flux density of the catalog at the mosaic's frequency")
    _add(table, "flux", photometry.flux, units.Jy, "flux density of a point source forced to this position")
    _add(table, "flux_err", photometry.error, units.Jy, "standard error, noise only")
    _add(table, "rms", photometry.rms, units.Jy, "local noise (per beam)")
    _add(table, "beam_gain", gain, units.dimensionless_unscaled, "primary beam; true flux is flux / beam_gain")
    _add(table, "found", found, None, "whether a source of the mosaic matches")
    return table
