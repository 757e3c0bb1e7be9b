"""The smallest beam common to the members of a mosaic, and members convolved to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from scipy.optimize import linprog

from contimg.radio.gaussians import Beam, beam_difference, smooth
from contimg_mosaic.grid import Grid
from contimg_mosaic.measure import mad_rms
from contimg_mosaic.tiles import Tile

__all__ = ["CommonBeam", "Member", "common_beam", "convolved", "smallest_cover"]

Array = NDArray[np.float64]

DIRECTIONS = 360
"""Directions in which the common beam is held wider than every member's; between them it is too narrow by 2e-5."""

NEGLIGIBLE = 1e-4
"""A convolution that adds less than this part to the squared width of a beam changes no peak by more."""


@dataclass(frozen=True)
class Member:
    """A tile's pixels as the mosaic takes them, (ny, nx)."""

    image: NDArray[np.float32]
    """Jy/beam of the common beam; 0 where there is nothing."""
    valid: NDArray[np.float32]
    """1 where a pixel can be used, else 0."""
    rms_jy: float
    """Noise [Jy/beam]."""


@dataclass(frozen=True)
class CommonBeam:
    """The beam of a mosaic and what each tile needs to have it."""

    beam: Beam
    difference: float
    """Largest relative difference of two members' beams on the mosaic's sky, before they are convolved."""
    growths: tuple[Array, ...]
    """Second moments that convolve each tile to the common beam, shape (2, 2) [tile pixel²]."""
    scales: tuple[float, ...]
    """Area of the common beam over the tile's own."""


def smallest_cover(moments: list[Array]) -> Array:
    """Return second moments that are at least as large as all given ones in every direction.

    Seen in coordinates in which their mean is a circle, the sum of the squared axes is the least possible one, and so
    to first order the area: a linear programme in three unknowns.

    Parameters
    ----------
    moments
        Shape (2, 2) each [pixel²].

    Returns
    -------
    (2, 2) [pixel²].
    """
    root = np.linalg.cholesky(np.mean(moments, axis=0))
    angle = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    directions = np.stack([np.cos(angle), np.sin(angle)])
    round_ones = [np.linalg.solve(root, np.linalg.solve(root, each).T) for each in moments]
    widths = np.max([np.einsum("ik,ij,jk->k", directions, each, directions) for each in round_ones], axis=0)
    rows = np.stack([directions[0] ** 2, 2.0 * directions[0] * directions[1], directions[1] ** 2], axis=1)
    found = linprog([1.0, 0.0, 1.0], A_ub=-rows, b_ub=-widths, bounds=[(0, None), (None, None), (0, None)])
    xx, xy, yy = found.x
    return np.asarray(root @ np.array([[xx, xy], [xy, yy]]) @ root.T)


def common_beam(tiles: list[Tile], grid: Grid) -> CommonBeam:
    """Return the smallest beam common to tiles as they lie on the mosaic's sky: north turns along a strip."""
    turns = [_turn(tile, grid) for tile in tiles]
    own = [tile.beam.moments(tile.cell_arcsec) for tile in tiles]
    seen = [turn @ each @ turn.T for turn, each in zip(turns, own, strict=True)]
    alike = all(np.abs(each - seen[0]).max() <= NEGLIGIBLE * np.trace(seen[0]) for each in seen)
    cover = seen[0] if alike else smallest_cover(seen)
    back = [np.linalg.solve(turn, np.linalg.solve(turn, cover).T) for turn in turns]
    cell = abs(float(grid.wcs.wcs.cdelt[1])) * 3600.0
    return CommonBeam(
        Beam.from_moments(cover, cell),
        beam_difference([Beam.from_moments(each, cell) for each in seen]),
        tuple(wanted - each for wanted, each in zip(back, own, strict=True)),
        tuple(float(np.sqrt(np.linalg.det(cover) / np.linalg.det(each))) for each in seen),
    )


def _turn(tile: Tile, grid: Grid) -> Array:
    """Return the derivative of the mosaic's pixels (x, y) by those of a tile at its middle, shape (2, 2)."""
    y0, x0 = (size / 2.0 for size in tile.shape)
    sky = tile.wcs.wcs_pix2world([x0 - 1, x0 + 1, x0, x0], [y0, y0, y0 - 1, y0 + 1], 0)
    x, y = grid.wcs.wcs_world2pix(*sky, 0)
    return np.array([[x[1] - x[0], x[3] - x[2]], [y[1] - y[0], y[3] - y[2]]]) / 2.0


def convolved(tile: Tile, growth: Array, scale: float) -> Member:
    """Read a tile and give it the common beam; pixels that nothing or the edge reaches into fall out.

    Parameters
    ----------
    tile
        The member.
    growth
        Second moments of the Gaussian to convolve with, shape (2, 2) [tile pixel²].
    scale
        Area of the common beam over the tile's own, a pure number.
    """
    image = tile.image()
    valid = np.isfinite(image)
    image = np.nan_to_num(image, nan=0.0)
    widest = float(np.linalg.eigvalsh(growth)[-1])
    if widest <= NEGLIGIBLE * np.trace(tile.beam.moments(tile.cell_arcsec)):
        return Member(image, valid.astype(np.float32), tile.rms_jy)
    before = mad_rms(image[valid])
    image = smooth(image, growth) * np.float32(scale)
    reach = int(np.ceil(3.0 * np.sqrt(widest)))
    valid = minimum_filter(valid, size=2 * reach + 1, mode="constant", cval=0)
    after = mad_rms(image[valid])
    return Member(image, valid.astype(np.float32), tile.rms_jy * after / before if before > 0 else tile.rms_jy)
