"""A quick-look picture of a mosaic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.visualization.wcsaxes import WCSAxes
from astropy.wcs import WCS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from numpy.typing import NDArray

from contimg.radio.gaussians import Beam

__all__ = ["draw"]

WIDEST = 1600
"""Pixels of the longer side after averaging."""


def _averaged(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    ny, nx = (n // step * step for n in image.shape)
    blocks = image[:ny, :nx].reshape(ny // step, step, nx // step, step)
    return np.asarray(blocks.mean(axis=(1, 3)))


def draw(path: Path, image: NDArray[np.float32], wcs: WCS, beam: Beam, rms_jy: float, title: str) -> None:
    """Write a PNG of an image in Jy/beam with sky coordinates, colour bar and beam.

    Parameters
    ----------
    path
        File to write.
    image : (ny, nx)
        Jy/beam; NaN is left blank.
    wcs
        Celestial coordinates of the pixels.
    beam, rms_jy, title
        What to draw in the corner, what sets the stretch, what to write above.
    """
    step = max(1, int(np.ceil(max(image.shape) / WIDEST)))
    shown = _averaged(image, step) * 1e3
    ny, nx = shown.shape
    width, height = (8.5, 8.5 * ny / nx) if nx >= ny else (8.5 * nx / ny, 8.5)
    page = (width + 2.4, height + 1.3)
    figure = Figure(figsize=page, dpi=110)
    FigureCanvasAgg(figure)
    left, bottom, w, h = 0.95 / page[0], 0.7 / page[1], width / page[0], height / page[1]
    axes = WCSAxes(figure, (left, bottom, w, h), wcs=wcs[::step, ::step] if step > 1 else wcs)
    figure.add_axes(axes)
    rms = rms_jy * 1e3
    top = max(float(np.nanmax(shown)), 10.0 * rms)
    norm = AsinhNorm(linear_width=3.0 * rms, vmin=-4.0 * rms, vmax=top)
    drawn = axes.imshow(shown, origin="lower", cmap="inferno", norm=norm, interpolation="nearest")
    axes.set_facecolor("0.85")
    axes.set_xlabel("Right ascension (ICRS)")
    axes.set_ylabel("Declination (ICRS)")
    axes.set_title(title, fontsize=11)
    axes.coords.grid(color="white", alpha=0.15)
    ticks = [value for value in _ticks(rms, top) if value < top]
    bar = figure.colorbar(drawn, cax=figure.add_axes((left + w + 0.02, bottom, 0.2 / page[0], h)), ticks=ticks)
    bar.ax.minorticks_off()
    bar.ax.set_yticklabels([f"{value:.3g}" for value in ticks])
    bar.set_label("mJy/beam")
    _draw_beam(axes, beam, abs(float(wcs.wcs.cdelt[1])) * 3600.0 * step, shown.shape)
    figure.savefig(path, metadata={"Software": "contimg"})


def _ticks(rms: float, top: float) -> list[float]:
    """Return round numbers spread evenly on the stretched scale."""
    ticks = [0.0]
    decade = 10.0 ** np.floor(np.log10(3.0 * rms))
    while decade < top:
        ticks += [value for value in (decade, 2 * decade, 5 * decade) if value >= 3.0 * rms]
        decade *= 10.0
    return [float(value) for value in ticks]


def _draw_beam(axes: WCSAxes, beam: Beam, cell_arcsec: float, shape: tuple[int, ...]) -> None:
    major, minor = beam.major_arcsec / cell_arcsec, beam.minor_arcsec / cell_arcsec
    at = (0.02 * shape[1] + major, 0.02 * shape[0] + major)
    axes.add_patch(Ellipse(at, minor, major, angle=beam.pa_deg, facecolor="none", edgecolor="white", linewidth=1.0))
