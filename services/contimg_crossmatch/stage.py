"""Stage crossmatch: finds the sources of a mosaic and compares them with reference catalogs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import QTable
from numpy.typing import NDArray

from contimg import __version__
from contimg.models.quality import Figure, judge, worst
from contimg.radio import catalog as catalog_files
from contimg.stage import ProductDraft, Run, Stage, StageContext, StageResult
from contimg_crossmatch import tables
from contimg_crossmatch.catalogs import Catalog, join, read_catalog
from contimg_crossmatch.finder import Flag, Source, find_sources
from contimg_crossmatch.match import Matches, forced_photometry, inside, match
from contimg_crossmatch.params import SPEC, CrossmatchParams
from contimg_crossmatch.sky import Sky, open_sky

__all__ = ["CrossmatchStage"]

CARRIED = ("DATE-BEG", "DATE-END", "MJD-AVG", "RADESYS", "BMAJ", "BMIN", "BPA", "FREQ", "GROUPID", "MOSMETH", "PBCOR")
CARRIED_TOO = ("BEAMMOD", "CALSEL", "CALMODE", "TELESCOP")

NO_CATALOG = "no reference catalog was given, so nothing was matched; sources were found and measured"


@dataclass(frozen=True)
class _Comparison:
    """Sources against catalogs; all that is None when there is no catalog."""

    catalog: Catalog
    matches: Matches
    forced: QTable
    figures: list[Figure]


class CrossmatchStage(Stage[CrossmatchParams]):
    """Make the source catalog of a group's mosaic."""

    @staticmethod
    def warm_up() -> None:
        """Nothing to compile."""

    def run(self, context: StageContext[CrossmatchParams]) -> StageResult:
        """Find sources, match them if there is a catalog, write the tables.

        Raises
        ------
        BadConfig
            If a reference catalog cannot be read.
        BadInput
            If there is not exactly one mosaic.
        """
        run, params = context.run("mosaic"), context.params
        context.report(0, 3, "local noise")
        sky = _open(run, params)
        context.report(1, 3, "source finding")
        sources = find_sources(sky, params)
        context.report(2, 3, "matching")
        catalogs = {name: path for name, path in sorted(context.reference.items()) if name.startswith("catalog:")}
        read = [read_catalog(path, sky.frequency_hz, params.spectral_index) for path in catalogs.values()]
        compared = _compare(sky, sources, join(read), params) if read else None
        figures = [judge("crossmatch.sources", float(len(sources))), *(compared.figures if compared else [])]
        stem = f"catalog_{run.manifest.info.get('mosaic') or run.manifest.products[0].id}"
        recipe = context.task or f"crossmatch/{SPEC.recipe_version}"
        _write(context, stem, sky, sources, compared, _cards(run, figures, list(catalogs), recipe))
        info = {"catalog": stem, "note": "" if compared else NO_CATALOG, "catalogs": list(catalogs)}
        files = {"": f"{stem}.fits", "ecsv": f"{stem}.ecsv"}
        drafts = tuple(ProductDraft("catalog", stem, f, (f"{context.date}/{f}",), r) for r, f in files.items())
        return StageResult(drafts, tuple(figures), info, context.date)


def _open(run: Run, params: CrossmatchParams) -> Sky:
    pb = run.product("mosaic", "pb") if run.find("mosaic", "pb") else None
    frequency = float(run.manifest.info.get("freq_hz") or np.nan)
    return open_sky(run.product("mosaic"), run.product("mosaic", "noise"), pb, frequency, params)


def _positions(sky: Sky, sources: list[Source]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not sources:
        return np.empty(0), np.empty(0)
    ra, dec = sky.wcs.wcs_pix2world([s.x for s in sources], [s.y for s in sources], 0)
    return ra % 360.0, dec


def _compare(sky: Sky, sources: list[Source], whole: Catalog, params: CrossmatchParams) -> _Comparison:
    catalog, x, y = inside(sky, whole)
    ra, dec = _positions(sky, sources)
    matches = match(ra, dec, catalog, params.radius_arcsec)
    found = np.zeros(len(catalog), bool)
    found[matches.index[matches.index >= 0]] = True
    forced = tables.forced_table(catalog, forced_photometry(sky, x, y), sky.gain_at(x, y), found)
    gain = sky.gain_at(x, y)
    expected = catalog.flux_jy * gain > params.completeness_sigma * sky.rms_at(x, y)
    figures = _figures(sky, sources, (ra, dec), catalog, matches, params)
    complete = float(found[expected].mean()) if expected.any() else None
    figures.append(judge("crossmatch.completeness", complete, degraded_below=params.min_completeness))
    return _Comparison(catalog, matches, forced, figures)


def _figures(
    sky: Sky,
    sources: list[Source],
    at: tuple[NDArray[np.float64], NDArray[np.float64]],
    catalog: Catalog,
    matches: Matches,
    params: CrossmatchParams,
) -> list[Figure]:
    hit = matches.index >= 0
    rows = matches.index[hit]
    measured = np.array([s.flux for s in sources])[hit] if sources else np.empty(0)
    clean = np.array([not s.flags & (Flag.BLENDED | Flag.NO_FIT) for s in sources], bool)[hit]
    gain = sky.gain_at(*(np.array([getattr(s, axis) for s in sources])[hit] for axis in "xy")) if sources else measured
    anchor = clean & (catalog.flux_jy[rows] >= params.anchor_flux_jy)
    ratio = _median((measured / gain / catalog.flux_jy[rows])[anchor])
    dec = catalog.dec_deg[rows][anchor]
    east = (at[0][hit][anchor] - catalog.ra_deg[rows][anchor] + 180.0) % 360.0 - 180.0
    offset_ra = _median(east * np.cos(np.radians(dec)) * 3600.0)
    offset_dec = _median((at[1][hit][anchor] - dec) * 3600.0)
    (d_low, d_high), (f_low, f_high) = params.degraded_flux_ratio, params.failed_flux_ratio
    return [
        judge("crossmatch.matched", float(hit.sum())),
        judge("crossmatch.anchors", float(anchor.sum()), degraded_below=float(params.min_anchors)),
        judge(
            "crossmatch.flux_ratio",
            ratio,
            degraded_below=d_low,
            degraded_above=d_high,
            failed_below=f_low,
            failed_above=f_high,
        ),
        judge("crossmatch.offset_ra", offset_ra, "arcsec"),
        judge("crossmatch.offset_dec", offset_dec, "arcsec"),
        judge(
            "crossmatch.offset",
            None if offset_ra is None or offset_dec is None else float(np.hypot(offset_ra, offset_dec)),
            "arcsec",
            degraded_above=params.degraded_offset_arcsec,
            failed_above=params.failed_offset_arcsec,
        ),
    ]


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if values.size else None


def _cards(run: Run, figures: list[Figure], catalogs: list[str], recipe: str) -> dict[str, Any]:
    with fits.open(run.product("mosaic")) as hdus:
        header = hdus[0].header
        cards = {key: header[key] for key in (*CARRIED, *CARRIED_TOO) if key in header}
    verdict = worst([run.manifest.verdict, *(figure.verdict for figure in figures)])
    version = ", ".join(name.removeprefix("catalog:") for name in catalogs) or "none"
    own = {"PIPEVER": __version__, "RECIPE": recipe}
    return cards | own | {"QAVERD": verdict.value, "CATVER": version[:60]}


def _write(
    context: StageContext[CrossmatchParams],
    stem: str,
    sky: Sky,
    sources: list[Source],
    compared: _Comparison | None,
    cards: dict[str, Any],
) -> None:
    table = tables.source_table(
        sky, sources, compared.catalog if compared else None, compared.matches if compared else None
    )
    extensions = {"SOURCES": table} | ({"FORCED": compared.forced} if compared else {})
    catalog_files.write_fits(context.workdir / f"{stem}.fits", extensions, cards)
    catalog_files.write_ecsv(context.workdir / f"{stem}.ecsv", table, cards)
