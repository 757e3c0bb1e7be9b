"""The quick-look picture of an image, always on the same scale in units of its noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from astropy.visualization import AsinhStretch, ImageNormalize
from astropy.wcs import WCS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from numpy.typing import NDArray

from contimg.radio.gaussians import Beam

__all__ = ["SCALE_SIGMA", "write_picture"]

SCALE_SIGMA = (-10.0, 40.0)
"""Black and white in units of the noise, so that pictures of different nights compare."""


def write_picture(path: Path, image: NDArray[np.float32], wcs: WCS, beam: Beam, rms_jy: float, title: str) -> None:
    """Draw an image with sky coordinates, a scale bar and the beam.

    Parameters
    ----------
    path
        A new PNG file.
    image
        Shape (N, N) [Jy/beam].
    wcs
        Its celestial coordinates.
    beam
        Drawn in the lower left corner.
    rms_jy
        Noise [Jy/beam]; the grey scale runs over :data:`SCALE_SIGMA` of it.
    title
        Above the picture; the noise is added.
    """
    with mpl.rc_context({"font.size": 9, "axes.titlesize": 10}):
        figure = Figure(figsize=(9.0, 8.0), dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        axes: Any = figure.add_subplot(projection=wcs)
        low, high = (factor * rms_jy * 1e3 for factor in SCALE_SIGMA)
        norm = ImageNormalize(vmin=low, vmax=high, stretch=AsinhStretch(0.2), clip=True)
        shown = axes.imshow(image * 1e3, origin="lower", cmap="inferno", norm=norm, interpolation="antialiased")
        figure.colorbar(shown, ax=axes, label="mJy/beam", shrink=0.85, ticks=np.round(np.linspace(low, high, 6), 3))
        axes.set_xlabel("Right ascension (ICRS)")
        axes.set_ylabel("Declination (ICRS)")
        axes.coords.grid(color="white", alpha=0.15, linestyle=":")
        axes.set_title(f"{title}\nrms {rms_jy * 1e3:.3g} mJy/beam, beam {_words(beam)}")
        shape = _ellipse(image.shape[0], beam, abs(float(wcs.wcs.cdelt[1])) * 3600)
        axes.add_patch(shape)
        x, y = shape.center
        axes.text(x + 0.7 * shape.height, y, shape.get_label(), color="cyan", fontsize=7, va="center")
        figure.savefig(path)


def _words(beam: Beam) -> str:
    return f"{beam.major_arcsec:.1f}″ × {beam.minor_arcsec:.1f}″, {beam.pa_deg:.0f}°"


def _ellipse(size: int, beam: Beam, cell_arcsec: float) -> Ellipse:
    """Beam in the corner, east to the left, never smaller than can be seen."""
    zoom = max(1.0, 0.012 * size * cell_arcsec / beam.minor_arcsec)
    major, minor = (zoom * each / cell_arcsec for each in (beam.major_arcsec, beam.minor_arcsec))
    place = 0.02 * size + 0.6 * major
    label = "beam" if zoom == 1.0 else f"beam, {zoom:.1f} times as large"
    return Ellipse((place, place), minor, major, angle=beam.pa_deg, facecolor="none", edgecolor="cyan", label=label)
