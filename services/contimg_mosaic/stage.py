"""Stage mosaic: reads the images of a group, makes the mosaic, its weight and noise maps and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from contimg.errors import BadInput
from contimg.models.quality import Figure, judge, worst
from contimg.radio.coordinates import separation
from contimg.stage import ProductDraft, Run, Stage, StageContext, StageResult
from contimg_mosaic import measure, picture, write
from contimg_mosaic.beams import CommonBeam, common_beam
from contimg_mosaic.combine import Maps, combine
from contimg_mosaic.grid import Grid, make_grid
from contimg_mosaic.params import SPEC, Method, MosaicParams
from contimg_mosaic.tiles import Tile, open_tile

__all__ = ["MosaicStage", "choose_method"]


def choose_method(tiles: list[Tile], params: MosaicParams) -> Method:
    """Return ``coadd`` or ``pbweight``; ``auto`` looks how far the phase centres are apart."""
    if params.method is not Method.AUTO:
        return params.method
    pb = tiles[0].pb()
    width = 2.0 * np.sqrt((pb >= 0.5).sum() / np.pi) * np.radians(tiles[0].cell_arcsec / 3600.0)
    ra, dec = np.radians(np.array([tile.centre for tile in tiles])).T
    apart = float(np.max(separation(ra[0], dec[0], ra, dec)))
    return Method.COADD if apart <= params.one_pointing_fwhm * width else Method.PBWEIGHT


@dataclass(frozen=True)
class _Made:
    """One finished mosaic, before it is written."""

    tiles: list[Tile]
    method: Method
    grid: Grid
    common: CommonBeam
    maps: Maps
    source: measure.Brightest | None
    expected: int

    @property
    def name(self) -> str:
        return self.method.value


class MosaicStage(Stage[MosaicParams]):
    """Combine the images of a group."""

    @staticmethod
    def warm_up() -> None:
        """Nothing to compile; the imports of this module are what takes time."""

    def run(self, context: StageContext[MosaicParams]) -> StageResult:
        """Make the mosaic of the group's images.

        Raises
        ------
        BadInput
            If there is no image, or one cannot be used.
        BadConfig
            If the group is too long for one projection.
        """
        runs = context.runs("image")
        if not runs:
            msg = f"group {context.unit} has no image; a mosaic needs at least one"
            raise BadInput(msg)
        made = self._make(context, [_tile(run) for run in runs])
        figures = _figures(made, context.params)
        stem = f"mosaic_{context.unit}_{made.name}"
        _write(context, made, figures, stem)
        return StageResult(_products(context.date, stem, made), tuple(figures), _info(made, runs, stem), context.date)

    def _make(self, context: StageContext[MosaicParams], tiles: list[Tile]) -> _Made:
        params = context.params
        method = choose_method(tiles, params)
        grid = make_grid(tiles, params.cell_arcsec)
        context.log.info("mosaic", method=method.value, members=len(tiles), pixels=list(grid.shape))
        common = common_beam(tiles, grid)
        maps = combine(
            tiles,
            grid,
            common,
            corrected=method is Method.PBWEIGHT,
            pb_floor=params.pb_floor,
            report=lambda done: context.report(done, len(tiles), "members combined"),
        )
        if not (maps.weight > 0).any():
            msg = f"no pixel of the {len(tiles)} images of group {context.unit} has a beam above {params.pb_floor}"
            raise BadInput(msg)
        cell = abs(float(grid.wcs.wcs.cdelt[1])) * 3600.0
        source = measure.brightest(maps, grid.wcs, common.beam, cell)
        expected = context.options.expected or max(len(context.members), len(tiles))
        return _Made(tiles, method, grid, common, maps, source, expected)


def _tile(run: Run) -> Tile:
    rms = run.manifest.info.get("rms_jy")
    return open_tile(run.product("image", "fits"), run.product("image", "pb"), float("nan") if rms is None else rms)


def _figures(made: _Made, params: MosaicParams) -> list[Figure]:
    maps, source, count = made.maps, made.source, len(made.tiles)
    least = params.min_member_fraction * made.expected
    return [
        judge("mosaic.members", float(count), degraded_below=float(made.expected), failed_below=least),
        judge("mosaic.beam_difference", made.common.difference, failed_above=params.max_beam_difference),
        judge("mosaic.peak", source.peak_jy if source else None, "Jy/beam"),
        judge("mosaic.peak_ra", source.ra_deg if source else None, "deg"),
        judge("mosaic.peak_dec", source.dec_deg if source else None, "deg"),
        judge("mosaic.rms", measure.deep_rms(maps), "Jy/beam"),
        judge("mosaic.noise_min", float(np.nanmin(maps.noise)), "Jy/beam"),
        judge("mosaic.noise_ratio", measure.noise_ratio(maps)),
        judge("mosaic.area", measure.area_deg2(maps, made.grid), "deg2"),
    ]


def _band(tiles: list[Tile]) -> tuple[float, float]:
    """Return centre frequency and bandwidth of the members in Hz, from their frequency axes."""
    centres, widths = zip(*(tile.band_hz for tile in tiles), strict=True)
    return float(np.mean(centres)), float(np.max(widths))


def _span(context: StageContext[MosaicParams], tiles: list[Tile]) -> tuple[str, str]:
    if context.members:
        begin, end = min(m.start for m in context.members), max(m.end for m in context.members)
        return begin.replace(tzinfo=None).isoformat(), end.replace(tzinfo=None).isoformat()
    first = [str(t.header.get("DATE-BEG") or t.header.get("DATE-OBS") or context.date) for t in tiles]
    last = [str(t.header.get("DATE-END") or value) for t, value in zip(tiles, first, strict=True)]
    return min(first), max(last)


def _write(context: StageContext[MosaicParams], made: _Made, figures: list[Figure], stem: str) -> None:
    begin, end = _span(context, made.tiles)
    frequency, bandwidth = _band(made.tiles)
    verdict = worst([figure.verdict for figure in figures])
    corrected = made.maps.pb is None
    cards = write.Cards(
        context.unit,
        made.name,
        context.task or f"mosaic/{SPEC.recipe_version}",
        begin,
        end,
        frequency,
        bandwidth,
        corrected,
        context.params.pb_floor,
        verdict,
    )
    beam = made.common.beam
    shared = write.header(made.grid.wcs, beam, made.tiles, cards)
    write.write(context.workdir / f"{stem}.fits", made.maps.mosaic, shared, "Jy/beam", "Intensity")
    write.write(context.workdir / f"{stem}_weight.fits", made.maps.weight, shared, "beam2/Jy2", "Weight")
    write.write(context.workdir / f"{stem}_noise.fits", made.maps.noise, shared, "Jy/beam", "Noise")
    if made.maps.pb is not None:
        write.write(context.workdir / f"{stem}_pb.fits", made.maps.pb, shared, "", "PrimaryBeam")
    rms = next(f.value for f in figures if f.name == "mosaic.rms")
    kind = "beam-corrected" if corrected else "not beam-corrected"
    facts = f"{made.name} ({kind}), {frequency / 1e9:.4f} GHz, rms {1e3 * (rms or 0):.2f} mJy/beam"
    title = f"{context.unit}: {len(made.tiles)} images, {facts}"
    picture.draw(context.workdir / f"{stem}.png", made.maps.mosaic, made.grid.wcs, beam, rms or 1e-3, title)


def _products(date: str, stem: str, made: _Made) -> tuple[ProductDraft, ...]:
    files = {"": f"{stem}.fits", "weight": f"{stem}_weight.fits", "noise": f"{stem}_noise.fits", "png": f"{stem}.png"}
    if made.maps.pb is not None:
        files["pb"] = f"{stem}_pb.fits"
    return tuple(ProductDraft("mosaic", stem, file, (f"{date}/{file}",), role) for role, file in files.items())


def _info(made: _Made, runs: list[Run], stem: str) -> dict[str, Any]:
    frequency, bandwidth = _band(made.tiles)
    beam, source = made.common.beam, made.source
    return {
        "mosaic": stem,
        "method": made.name,
        "pb_corrected": made.maps.pb is None,
        "members": [run.manifest.unit for run in runs],
        "expected": made.expected,
        "freq_hz": frequency if np.isfinite(frequency) else None,
        "bandwidth_hz": bandwidth if np.isfinite(bandwidth) else None,
        "beam": {"major_arcsec": beam.major_arcsec, "minor_arcsec": beam.minor_arcsec, "pa_deg": beam.pa_deg},
        "cell_arcsec": abs(float(made.grid.wcs.wcs.cdelt[1])) * 3600.0,
        "peak": None if source is None else vars(source),
    }
