"""Grids of maps: those of ``wcs_definitions.toml`` by name, or one around the data. All are Galactic plate carrée."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from contimg.errors import BadConfig
from contimg.models.spec import nearest

__all__ = ["around", "named", "pixels"]

Floats = NDArray[np.float64]
_MOST_CELLS = 20_000


@cache
def _definitions() -> dict[str, dict[str, Any]]:
    text = (files("contimg.instruments.comap") / "data" / "wcs_definitions.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _grid(
    size: tuple[int, int], cdelt: tuple[float, float], crpix: tuple[float, float], crval: tuple[float, float]
) -> WCS:
    grid = WCS(naxis=2)
    grid.wcs.ctype = ["GLON-CAR", "GLAT-CAR"]
    grid.wcs.cunit = ["deg", "deg"]
    grid.wcs.cdelt, grid.wcs.crpix, grid.wcs.crval = cdelt, crpix, crval
    grid.array_shape = (size[1], size[0])
    return grid


def named(name: str) -> WCS:
    """Return a grid by its name.

    Raises
    ------
    BadConfig
        If there is none of this name; the nearest is offered.
    """
    known = _definitions()
    if name not in known:
        words = ", ".join([*known, "dynamic"])
        raise BadConfig(f"grid (wcs) {name!r} is unknown{nearest(name, known)}; known are {words}")
    one = known[name]
    pairs = [(one[f"{key}1"], one[f"{key}2"]) for key in ("NAXIS", "CDELT", "CRPIX", "CRVAL")]
    return _grid(*pairs)


def around(glon: Floats, glat: Floats, cell_deg: float, padding_deg: float) -> WCS:
    """Return a grid around the data, with an odd number of pixels on both axes.

    Parameters
    ----------
    glon, glat
        Corners of what is to be seen, any shape, in degrees; longitudes are unwrapped around the first.

    Raises
    ------
    BadConfig
        If it had too many pixels.
    """
    near = glon.flat[0] + (glon - glon.flat[0] + 180.0) % 360.0 - 180.0
    middle = 0.5 * (near.min() + near.max()) % 360.0, 0.5 * (glat.min() + glat.max())
    size = [2 * int(np.ceil((0.5 * np.ptp(axis) + padding_deg) / cell_deg)) + 1 for axis in (near, glat)]
    if max(size) > _MOST_CELLS:
        raise BadConfig(f"a dynamic grid would have {size[0]} x {size[1]} pixels; raise cell_deg or name a grid")
    # the reference latitude stays 0, so that the grid is a plain plate carrée and no oblique one
    crpix = (size[0] + 1) / 2.0, (size[1] + 1) / 2.0 - middle[1] / cell_deg
    return _grid((size[0], size[1]), (-cell_deg, cell_deg), crpix, (middle[0], 0.0))


def pixels(grid: WCS, glon: Floats, glat: Floats) -> NDArray[np.int64]:
    """Return the number of the nearest pixel, row by row, of places in degrees, shape (time,), index; -1: outside."""
    x, y = grid.wcs_world2pix(glon, glat, 0)
    ny, nx = grid.array_shape
    i, j = np.floor(x + 0.5), np.floor(y + 0.5)
    inside = (i >= 0) & (i < nx) & (j >= 0) & (j < ny)
    return np.where(inside, np.where(inside, j, 0) * nx + np.where(inside, i, 0), -1).astype(np.int64)
