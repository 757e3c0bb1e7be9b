"""The mosaic as the source finder sees it: pixels, noise, coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import sep
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from contimg.radio.gaussians import Beam, autocorrelation
from contimg_crossmatch.params import CrossmatchParams

__all__ = ["Sky", "open_sky"]

Array = NDArray[np.float64]

CLIPPED = 0.98485
"""Standard deviation of a unit Gaussian clipped at 3 sigma until nothing changes, as sep measures it:
the fixed point of s² = 1 - 2 a φ(a) / (2 Φ(a) - 1) with a = 3 s."""

CORRELATION_PIXELS = 2048
"""The noise correlation is measured on at most the middle this² of a mosaic."""


@dataclass(frozen=True)
class Sky:
    """A mosaic with its local noise; arrays are (ny, nx), NaN where there is no data."""

    image: NDArray[np.float32]
    """Jy/beam."""
    rms: NDArray[np.float32]
    """Local noise, Jy/beam: the expected noise times its measured excess."""
    gain: NDArray[np.float32] | None
    """Primary beam that the image is not corrected for; None when it is."""
    correlation: Array
    """Autocorrelation of the noise, (2 k + 1, 2 k + 1)."""
    wcs: WCS
    beam: Beam
    cell_arcsec: float
    frequency_hz: float

    @property
    def beam_pixels(self) -> float:
        """Major axis of the beam in pixels."""
        return self.beam.major_arcsec / self.cell_arcsec

    def form(self) -> tuple[float, float, float]:
        """Return the quadratic form of the beam per pixel²."""
        return self.beam.widths(self.cell_arcsec)

    def gain_at(self, x: Array, y: Array) -> Array:
        """Return the primary beam, a pure number, at pixels of any shape; 1 for a corrected mosaic."""
        if self.gain is None:
            return np.ones(np.shape(x))
        return np.asarray(self.gain[self._index(y, 0), self._index(x, 1)], dtype=np.float64)

    def rms_at(self, x: Array, y: Array) -> Array:
        """Return the local noise [Jy/beam] at pixels of any shape; NaN outside."""
        ny, nx = self.rms.shape
        inside = (x > -0.5) & (y > -0.5) & (x < nx - 0.5) & (y < ny - 0.5)
        value = self.rms[self._index(y, 0), self._index(x, 1)]
        return np.where(inside, value, np.nan).astype(np.float64)

    def _index(self, pixel: Array, axis: int) -> NDArray[np.intp]:
        rounded = np.nan_to_num(np.rint(pixel), nan=0.0)
        return np.asarray(np.clip(rounded, 0, self.rms.shape[axis] - 1), dtype=np.intp)


def _read(path: Path) -> NDArray[np.float32]:
    with fits.open(path, memmap=False) as hdus:
        return np.ascontiguousarray(hdus[0].data, dtype=np.float32)


def open_sky(mosaic: Path, noise: Path, pb: Path | None, frequency_hz: float, params: CrossmatchParams) -> Sky:
    """Read a mosaic and measure its local noise and the correlation of that noise.

    Parameters
    ----------
    mosaic, noise
        Files of stage mosaic.
    pb
        Primary beam of a mosaic that is not corrected for it.
    frequency_hz
        Centre frequency.
    params
        Width of the noise cells, threshold of the mask.
    """
    image, expected = _read(mosaic), _read(noise)
    with fits.open(mosaic) as hdus:
        header = hdus[0].header
    wcs = WCS(header).celestial
    cell = float(abs(wcs.wcs.cdelt[1]) * 3600.0)
    beam = Beam(header["BMAJ"] * 3600.0, header["BMIN"] * 3600.0, header["BPA"])
    blank = ~(np.isfinite(image) & np.isfinite(expected))
    image[blank] = np.nan
    normal = image / expected
    normal[blank] = 0.0
    width = int(np.clip(params.background_beams * beam.major_arcsec / cell, 16, max(image.shape)))
    rms = sep.Background(normal, mask=blank, bw=width, bh=width).rms()
    rms *= expected / CLIPPED
    rms[blank] = np.nan
    del normal, expected
    gain = None if pb is None else _read(pb)
    sky = Sky(image, rms, gain, np.ones((1, 1)), wcs, beam, cell, frequency_hz)
    return replace(sky, correlation=_correlation(sky, params.island_sigma))


def _correlation(sky: Sky, island_sigma: float) -> Array:
    """Measure the noise correlation where no source stands (negative and positive peaks are cut alike)."""
    ny, nx = sky.image.shape
    half = CORRELATION_PIXELS // 2
    middle = np.s_[max(0, ny // 2 - half) : ny // 2 + half, max(0, nx // 2 - half) : nx // 2 + half]
    normal = (sky.image[middle] / sky.rms[middle]).astype(np.float64)
    reach = int(np.ceil(2.0 * sky.beam_pixels)) + 1
    with np.errstate(invalid="ignore"):
        bright = np.abs(normal) > max(5.0, island_sigma)
    grown = binary_dilation(bright, iterations=int(np.ceil(1.5 * sky.beam_pixels))) if bright.any() else bright
    normal[grown] = np.nan
    return autocorrelation(normal, reach)
