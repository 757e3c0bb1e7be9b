"""Weighted sums of tiles on the mosaic's grid, one tile and one band of rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter

from contimg_mosaic.beams import CommonBeam, Member, convolved
from contimg_mosaic.grid import Grid, footprint, tile_pixels
from contimg_mosaic.tiles import Tile

__all__ = ["Maps", "combine"]

Image = NDArray[np.float32]

BAND = 256
"""Rows resampled at once: bounds the memory of the coordinates."""


@dataclass(frozen=True)
class Maps:
    """The mosaic and what belongs to it, all (ny, nx); NaN where no tile contributes."""

    mosaic: Image
    """Jy/beam."""
    weight: Image
    """Jy⁻² (0 where no tile contributes)."""
    noise: Image
    """Jy/beam, 1/√weight."""
    pb: Image | None
    """Mean primary beam of a co-add, which is not corrected for it; None when the mosaic is."""


def combine(
    tiles: list[Tile],
    grid: Grid,
    common: CommonBeam,
    *,
    corrected: bool,
    pb_floor: float,
    report: Callable[[int], None] = lambda _done: None,
) -> Maps:
    """Combine tiles that are not beam-corrected, each convolved to the smallest beam common to them.

    Parameters
    ----------
    tiles, grid
        The members and the pixels of the result.
    common
        The beam of the result.
    corrected
        True: Σ pb·I/σ² / Σ pb²/σ², the least-squares estimate of the true sky (Cornwell 1988). False:
        Σ I/σ² / Σ 1/σ², the mean of images of one pointing, as they are.
    pb_floor
        Pixels of a tile with a lower beam are not used (only if ``corrected``).
    report
        Called with the number of finished tiles.
    """
    top, weight = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    beam = None if corrected else np.zeros(grid.shape, np.float32)
    for done, (tile, growth, scale) in enumerate(zip(tiles, common.growths, common.scales, strict=True), start=1):
        _add(tile, convolved(tile, growth, scale), grid, top, weight, beam, pb_floor if corrected else None)
        report(done)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(top, weight, out=top)
        noise: Image = np.asarray(1.0 / np.sqrt(weight), dtype=np.float32)
        if beam is not None:
            np.divide(beam, weight, out=beam)
    noise[weight == 0] = np.nan
    return Maps(top, weight, noise, beam)


def _add(
    tile: Tile, member: Member, grid: Grid, top: Image, weight: Image, beam: Image | None, pb_floor: float | None
) -> None:
    pb = tile.pb()
    coefficients = spline_filter(member.image, order=3, mode="mirror", output=np.float32)
    area = footprint(grid, tile)
    for start in range(area.rows.start, area.rows.stop, BAND):
        rows = slice(start, min(start + BAND, area.rows.stop))
        where = (rows, area.columns)
        at = tile_pixels(grid, tile, *where)
        value = _sample(coefficients, at, order=3)
        gain = _sample(pb, at, order=1)
        use = _inside(at, tile.shape) & (_sample(member.valid, at, order=1) > 0.999)
        if pb_floor is not None:
            use &= gain >= pb_floor
        scale = np.where(use, np.float32(1.0 / member.rms_jy**2), np.float32(0.0))
        response = gain if pb_floor is not None else np.float32(1.0)
        top[where] += scale * response * value
        weight[where] += scale * response**2
        if beam is not None:
            beam[where] += scale * gain


def _sample(values: Image, at: tuple[NDArray[np.float64], NDArray[np.float64]], order: int) -> Image:
    return np.asarray(map_coordinates(values, at, output=np.float32, order=order, mode="mirror", prefilter=False))


def _inside(at: tuple[NDArray[np.float64], NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    y, x = at
    slack = 1e-6  # a tile's own last pixel must not fall out by rounding
    return (y >= -slack) & (y <= shape[0] - 1 + slack) & (x >= -slack) & (x <= shape[1] - 1 + slack)
