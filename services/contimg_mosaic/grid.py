"""The pixel grid of a mosaic, and where its pixels lie in a tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from contimg.errors import BadConfig
from contimg_mosaic.tiles import Tile

__all__ = ["Footprint", "Grid", "centre_of", "footprint", "make_grid", "tile_pixels"]

Array = NDArray[np.float64]

COARSE = 16
"""Exact sky coordinates are computed every 16 pixels and interpolated between (error < 1e-5 pixel)."""


@dataclass(frozen=True)
class Grid:
    """Pixels of the mosaic."""

    wcs: WCS
    shape: tuple[int, int]

    def solid_angle(self, rows: slice, columns: slice) -> Array:
        """Return the solid angle of pixels, shape (rows, columns) [deg²]: more away from the centre of a SIN image."""
        y = (np.arange(*rows.indices(self.shape[0])) + 1 - self.wcs.wcs.crpix[1]) * self.wcs.wcs.cdelt[1]
        x = (np.arange(*columns.indices(self.shape[1])) + 1 - self.wcs.wcs.crpix[0]) * self.wcs.wcs.cdelt[0]
        cosine = np.sqrt(np.maximum(1.0 - np.radians(x)[None, :] ** 2 - np.radians(y)[:, None] ** 2, 1e-6))
        return np.asarray(abs(self.wcs.wcs.cdelt[0] * self.wcs.wcs.cdelt[1]) / cosine)


@dataclass(frozen=True)
class Footprint:
    """The rectangle of the mosaic that a tile touches."""

    rows: slice
    columns: slice


def centre_of(centres: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the middle of positions (degrees) as the direction of their mean vector, so that RA 0 is no edge."""
    ra, dec = np.radians(np.array(centres)).T
    x, y, z = (np.mean(v) for v in (np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)))
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def _edge(tile: Tile, points: int = 33) -> tuple[Array, Array]:
    ny, nx = tile.shape
    ex, ey = np.linspace(-0.5, nx - 0.5, points), np.linspace(-0.5, ny - 0.5, points)
    low, high = np.full(points, -0.5), np.full(points, 1.0)
    x = np.concatenate([ex, ex, low, high * (nx - 0.5)])
    y = np.concatenate([low, high * (ny - 0.5), ey, ey])
    ra, dec = tile.wcs.wcs_pix2world(x, y, 0)
    return ra, dec


def _sin_wcs(ra: float, dec: float, cell_deg: float) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.cdelt = [-cell_deg, cell_deg]
    wcs.wcs.crpix = [1.0, 1.0]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def _same(tile: Tile, wcs: WCS, shape: tuple[int, int]) -> bool:
    """Say whether a tile's pixels are those of a grid (times in the header make no other grid, a slant does)."""
    mine, other = tile.wcs.wcs, wcs.wcs
    if any(value for _, _, value in mine.get_pv()):
        return False
    pairs = [(mine.crval, other.crval), (mine.cdelt, other.cdelt), (mine.crpix, other.crpix)]
    return tile.shape == shape and all(np.allclose(a, b, rtol=1e-12, atol=1e-11) for a, b in pairs)


def make_grid(tiles: list[Tile], cell_arcsec: float = 0.0) -> Grid:
    """Return a SIN grid that holds all tiles; that of the tiles themselves when they share one.

    Parameters
    ----------
    tiles
        The members.
    cell_arcsec
        Pixel size; 0: the smallest of the members.

    Raises
    ------
    BadConfig
        If the group is so long that one SIN projection cannot hold it.
    """
    first = tiles[0]
    cell = cell_arcsec or min(tile.cell_arcsec for tile in tiles)
    if all(_same(t, first.wcs, first.shape) for t in tiles) and np.isclose(cell, first.cell_arcsec, rtol=1e-9):
        wcs = _sin_wcs(*first.centre, cell / 3600.0)
        wcs.wcs.crpix = first.wcs.wcs.crpix
        return Grid(wcs, first.shape)
    wcs = _sin_wcs(*centre_of([tile.centre for tile in tiles]), cell / 3600.0)
    edges = [wcs.wcs_world2pix(*_edge(tile), 0) for tile in tiles]
    x, y = (np.concatenate([edge[axis] for edge in edges]) for axis in (0, 1))
    radius = np.radians(np.hypot(x, y) * cell / 3600.0)
    if not (np.isfinite(radius).all() and radius.max() < np.sin(np.radians(60.0))):
        msg = f"the {len(tiles)} members reach more than 60 degrees from their middle; form shorter groups"
        raise BadConfig(msg)
    x0, y0 = np.floor(x.min()), np.floor(y.min())
    wcs.wcs.crpix = [1.0 - x0, 1.0 - y0]
    wcs.wcs.set()
    return Grid(wcs, (int(np.ceil(y.max()) - y0) + 1, int(np.ceil(x.max()) - x0) + 1))


def footprint(grid: Grid, tile: Tile) -> Footprint:
    """Return the rectangle of the grid around a tile."""
    x, y = grid.wcs.wcs_world2pix(*_edge(tile), 0)
    ny, nx = grid.shape
    rows = slice(max(0, int(np.floor(y.min()))), min(ny, int(np.ceil(y.max())) + 1))
    columns = slice(max(0, int(np.floor(x.min()))), min(nx, int(np.ceil(x.max())) + 1))
    return Footprint(rows, columns)


def tile_pixels(grid: Grid, tile: Tile, rows: slice, columns: slice) -> tuple[Array, Array]:
    """Return the tile's coordinates y, x in pixels from 0 of a rectangle of the grid, shape (rows, columns) each."""
    if _same(tile, grid.wcs, grid.shape):
        y, x = np.mgrid[rows, columns].astype(np.float64)
        return y, x
    gy = np.arange(rows.start, rows.stop + 4 * COARSE, COARSE, dtype=np.float64)
    gx = np.arange(columns.start, columns.stop + 4 * COARSE, COARSE, dtype=np.float64)
    sky = grid.wcs.wcs_pix2world(*np.meshgrid(gx, gy), 0)
    x, y = tile.wcs.wcs_world2pix(*sky, 0)
    oy, ox = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
    return RectBivariateSpline(gy, gx, y)(oy, ox), RectBivariateSpline(gy, gx, x)(oy, ox)
