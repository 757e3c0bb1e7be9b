"""The restoring beam: fitted to a PSF, and giving it to components and residual alike."""

from __future__ import annotations

import ducc0
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.optimize import least_squares

from contimg.errors import BadConfig, DataQuality
from contimg.radio.gaussians import ARCSEC, Beam, smooth
from contimg_image import fourier

__all__ = ["fit_beam", "gaussian", "matched", "restore", "sidelobe"]

_LOBE = 0.35
"""Part of the main lobe that is fitted, as in CASA: above this level."""
_REACH = 6.0
"""Radius of the restoring beam's image, in standard deviations of its major axis."""
_PSF_SIZE = 512
"""Pixels around the centre of a PSF that say what becomes of its peak: far more than any kernel reaches."""


def gaussian(beam: Beam, size: int, cell_rad: float) -> NDArray[np.float64]:
    """Return the beam as an image, shape (size, size), a pure number with peak 1 at ``size // 2``."""
    a, b, c = beam.form(cell_rad)
    x = np.arange(size) - size // 2
    y = x[:, None]
    image: NDArray[np.float64] = np.exp(-(a * x**2 + 2 * b * x * y + c * y**2))
    return image


def fit_beam(psf: NDArray[np.float32], cell_rad: float) -> Beam:
    """Fit an elliptical Gaussian of height 1 to the main lobe of a PSF.

    Parameters
    ----------
    psf
        Shape (N, N), peak 1 at ``N // 2``.
    cell_rad
        Side of a pixel [rad].

    Raises
    ------
    BadConfig
        If the main lobe is too narrow for these pixels, or does not end inside the image.
    DataQuality
        If it is a ridge.
    """
    y, x = _lobe(psf)
    values = psf[y + psf.shape[0] // 2, x + psf.shape[1] // 2]

    def misfit(p: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.exp(-(p[0] * x**2 + 2 * p[1] * x * y + p[2] * y**2)) - values
        return found

    spread = max(1.0, float((x**2 + y**2).mean()))
    a, b, c = least_squares(misfit, [1 / spread, 0.0, 1 / spread], x_scale=1 / spread).x
    curvatures, axes = np.linalg.eigh(np.array([[a, b], [b, c]]))
    if curvatures[0] <= 0:
        raise DataQuality("the main lobe of the PSF has no shape of a Gaussian; the uv coverage is one-dimensional")
    width = 2 * np.sqrt(np.log(2) / curvatures) * cell_rad / ARCSEC
    pa = float(np.degrees(np.arctan2(-axes[0, 0], axes[1, 0]))) % 180.0
    return Beam(float(width[0]), float(width[1]), pa)


def sidelobe(psf: NDArray[np.float32]) -> float:
    """Return the highest absolute value (pure number) of a PSF, shape (N, N), beyond twice its main lobe's reach."""
    y, x = _lobe(psf)
    offset = np.arange(psf.shape[0]) - psf.shape[0] // 2
    far = offset[:, None] ** 2 + offset**2 > 4 * (x**2 + y**2).max()
    return float(np.abs(psf[far]).max(initial=0.0))


def _lobe(psf: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets (y, x) of the pixels of the main lobe: above the level and connected with the centre."""
    centre = psf.shape[0] // 2
    half, inside = 8, False
    while not inside and half < centre:
        half = min(2 * half, centre - 1)
        here = slice(centre - half, centre + half + 1)
        pieces, _ = label(psf[here, here] > _LOBE)
        lobe = pieces == pieces[half, half]
        inside = not (lobe[[0, -1]].any() or lobe[:, [0, -1]].any())
        if half == centre - 1:
            break
    if not inside or lobe.sum() < 5:
        raise BadConfig(
            f"the main lobe of the PSF covers {int(lobe.sum())} of {psf.shape[0]} x {psf.shape[0]} pixels, so that no "
            "beam can be fitted; choose another cell_arcsec or size"
        )
    y, x = np.nonzero(lobe)
    return y - half, x - half


def restore(
    model: NDArray[np.float32], residual: NDArray[np.float32], beam: Beam, cell_rad: float
) -> NDArray[np.float32]:
    """Convolve the components [Jy/pixel] with the beam and add the residual [Jy/beam], shape (N, N) all.

    Padded, so that nothing comes back in at the opposite edge.
    """
    n = model.shape[0]
    reach = int(np.ceil(_REACH * beam.major_arcsec * ARCSEC / cell_rad / 2.3548))
    size = ducc0.fft.good_size(n + reach, True)
    padded = np.zeros((size, size))
    padded[:n, :n] = model
    kernel = np.fft.ifftshift(gaussian(beam, size, cell_rad))
    whole = fourier.back(fourier.forward(padded) * fourier.forward(kernel), size)
    restored: NDArray[np.float32] = whole[:n, :n].astype(np.float32) + residual
    return restored


def matched(
    residual: NDArray[np.float32], psf: NDArray[np.float32], fitted: Beam, beam: Beam, cell_rad: float
) -> NDArray[np.float32]:
    """Convolve a residual so that the main lobe of its PSF becomes the restoring beam.

    A point source that CLEAN never touched then has the shape of the cleaned ones and its flux as peak, so that both
    are measured alike. Where the restoring beam is the narrower one nothing is sharpened.

    Parameters
    ----------
    residual
        Shape (N, N) [Jy per PSF].
    psf
        Shape (M, M), a pure number, peak 1 at ``M // 2``.
    fitted
        Gaussian fitted to the main lobe of the PSF.
    beam
        Restoring beam.
    cell_rad
        Side of a pixel [rad].

    Returns
    -------
    (N, N) [Jy/beam].
    """
    if beam == fitted:
        return residual
    cell = cell_rad / ARCSEC
    growth = beam.moments(cell) - fitted.moments(cell)
    half = min(psf.shape[0], _PSF_SIZE) // 2
    middle = slice(psf.shape[0] // 2 - half, psf.shape[0] // 2 + half)
    peak = float(smooth(psf[middle, middle], growth)[half, half])
    return smooth(residual, growth) / np.float32(peak)
