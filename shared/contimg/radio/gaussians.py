"""Elliptical Gaussians in images: beam shapes, least-squares fits and their errors in correlated noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.optimize import least_squares

__all__ = ["ARCSEC", "FWHM", "Beam", "Fit", "autocorrelation", "beam_difference", "fit_gaussian", "gaussian", "smooth"]

FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum of a Gaussian of unit sigma."""

ARCSEC = np.pi / 180 / 3600
"""In radians."""

Array = NDArray[np.float64]

_REACH = 6.0
"""Standard deviations beyond which a Gaussian counts as 0."""


@dataclass(frozen=True)
class Beam:
    """A restoring beam; the position angle runs from north through east."""

    major_arcsec: float
    minor_arcsec: float
    pa_deg: float = 0.0

    def widths(self, cell_arcsec: float) -> tuple[float, float, float]:
        """Return the quadratic form (cxx, cyy, cxy) per pixel², with x to the west and y to the north."""
        major, minor = (FWHM * cell_arcsec / size for size in (self.major_arcsec, self.minor_arcsec))
        sin, cos = np.sin(np.radians(self.pa_deg)), np.cos(np.radians(self.pa_deg))
        cxx = (sin * major) ** 2 + (cos * minor) ** 2
        cyy = (cos * major) ** 2 + (sin * minor) ** 2
        return float(cxx), float(cyy), float(2.0 * sin * cos * (minor**2 - major**2))

    def form(self, cell_rad: float) -> tuple[float, float, float]:
        """Return a, b, c of exp(-(a x² + 2 b x y + c y²)); x, y in pixels to the west and north."""
        scale = 4 * np.log(2) * (cell_rad / ARCSEC) ** 2
        along, across = scale / self.major_arcsec**2, scale / self.minor_arcsec**2
        east, north = np.sin(np.radians(self.pa_deg)), np.cos(np.radians(self.pa_deg))
        a = along * east**2 + across * north**2
        c = along * north**2 + across * east**2
        return a, (across - along) * east * north, c

    def area(self, cell_arcsec: float) -> float:
        """Return the beam solid angle in pixels."""
        return float(2.0 * np.pi * self.major_arcsec * self.minor_arcsec / (FWHM * cell_arcsec) ** 2)

    def moments(self, cell_arcsec: float) -> Array:
        """Return the second moments, shape (2, 2) [pixel²], over x to the west and y to the north."""
        cxx, cyy, cxy = self.widths(cell_arcsec)
        return np.linalg.inv(np.array([[cxx, cxy / 2.0], [cxy / 2.0, cyy]]))

    @classmethod
    def from_moments(cls, moments: Array, cell_arcsec: float) -> Beam:
        """Return the beam of second moments, shape (2, 2) [pixel²] (the inverse of :meth:`moments`)."""
        form = np.linalg.inv(moments)
        return cls.from_widths((float(form[0, 0]), float(form[1, 1]), 2.0 * float(form[0, 1])), cell_arcsec)

    @classmethod
    def from_widths(cls, form: tuple[float, float, float], cell_arcsec: float) -> Beam:
        """Return the beam of a quadratic form (the inverse of :meth:`widths`)."""
        cxx, cyy, cxy = form
        values, vectors = np.linalg.eigh(np.array([[cxx, cxy / 2.0], [cxy / 2.0, cyy]]))
        major, minor = FWHM * cell_arcsec / np.sqrt(values)
        east, north = -vectors[0, 0], vectors[1, 0]
        return cls(float(major), float(minor), float(np.degrees(np.arctan2(east, north)) % 180.0))


def beam_difference(beams: list[Beam]) -> float:
    """Return the largest relative difference of two beams' widths in any direction.

    The eigenvalues of ``A_i^-1 A_j`` of the two quadratic forms are the squared ratios of the widths.
    """
    forms = [np.array([[a, c / 2.0], [c / 2.0, b]]) for a, b, c in (beam.widths(1.0) for beam in beams)]
    worst = 0.0
    for i, first in enumerate(forms):
        for second in forms[i + 1 :]:
            ratios = np.sqrt(np.linalg.eigvals(np.linalg.solve(first, second)).real)
            worst = max(worst, float(np.max(np.abs(np.log(ratios)))))
    return float(np.expm1(worst))


def smooth(image: NDArray[np.float32], moments: Array) -> NDArray[np.float32]:
    """Convolve an image with a Gaussian of unit integral, beyond whose reach it counts as 0 outside.

    Parameters
    ----------
    image : (ny, nx)
        Any unit; finite.
    moments : (2, 2)
        Second moments of the Gaussian over x and y [pixel²]; where they are negative, nothing is sharpened.

    Returns
    -------
    (ny, nx)
        In the unit of the image.
    """
    reach = int(np.ceil(_REACH * np.sqrt(max(float(np.linalg.eigvalsh(moments)[-1]), 0.0))))
    shape = [fft.next_fast_len(size + reach, real=True) for size in image.shape]
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    exponent = moments[0, 0] * kx**2 + 2.0 * moments[0, 1] * kx * ky + moments[1, 1] * ky**2
    response = np.exp(-2.0 * np.pi**2 * np.maximum(exponent, 0.0)).astype(np.float32)
    # one thread: the last bits of more depend on their number
    whole = fft.irfft2(fft.rfft2(image, shape, workers=1) * response, shape, workers=1)
    return np.asarray(whole[: image.shape[0], : image.shape[1]], dtype=np.float32)


def gaussian(params: Array, x: Array, y: Array) -> Array:
    """Return ``A exp(-(cxx dx² + cyy dy² + cxy dx dy) / 2)`` in the unit of A; params = (A, x0, y0, cxx, cyy, cxy).

    ``x`` and ``y``, of any shape, and the place are in pixels.
    """
    amplitude, x0, y0, cxx, cyy, cxy = params
    dx, dy = x - x0, y - y0
    return np.asarray(amplitude * np.exp(-0.5 * (cxx * dx**2 + cyy * dy**2 + cxy * dx * dy)))


def _jacobian(params: Array, x: Array, y: Array) -> Array:
    amplitude, x0, y0, cxx, cyy, cxy = params
    dx, dy = x - x0, y - y0
    shape = np.exp(-0.5 * (cxx * dx**2 + cyy * dy**2 + cxy * dx * dy))
    model = amplitude * shape
    columns = (
        shape,
        model * (cxx * dx + 0.5 * cxy * dy),
        model * (cyy * dy + 0.5 * cxy * dx),
        -0.5 * model * dx**2,
        -0.5 * model * dy**2,
        -0.5 * model * dx * dy,
    )
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Fit:
    """A fitted Gaussian in pixels with the covariance of (A, x0, y0, cxx, cyy, cxy)."""

    params: Array
    covariance: Array
    converged: bool

    @property
    def amplitude(self) -> float:
        """Peak, in the unit of the image."""
        return float(self.params[0])

    @property
    def position(self) -> tuple[float, float]:
        """Return x and y in pixels, counted from 0."""
        return float(self.params[1]), float(self.params[2])

    def error(self, index: int) -> float:
        """Return the standard error of one parameter."""
        return float(np.sqrt(max(self.covariance[index, index], 0.0)))

    def shape(self, cell_arcsec: float) -> Beam:
        """Return the fitted size as a beam."""
        cxx, cyy, cxy = self.params[3:]
        return Beam.from_widths((float(cxx), float(cyy), float(cxy)), cell_arcsec)

    def area_ratio(self, beam: Beam, cell_arcsec: float) -> tuple[float, float]:
        """Return fitted area / beam area and its standard error (first order, from the covariance)."""
        cxx, cyy, cxy = self.params[3:]
        determinant = cxx * cyy - cxy**2 / 4.0
        ratio = 2.0 * np.pi / np.sqrt(determinant) / beam.area(cell_arcsec)
        slope = -0.5 * ratio / determinant * np.array([cyy, cxx, -cxy / 2.0])
        return float(ratio), float(np.sqrt(max(slope @ self.covariance[3:, 3:] @ slope, 0.0)))

    def integrated(self, beam: Beam, cell_arcsec: float) -> tuple[float, float]:
        """Return the integrated flux and its standard error."""
        cxx, cyy, cxy = self.params[3:]
        determinant = cxx * cyy - cxy**2 / 4.0
        ratio = 2.0 * np.pi / np.sqrt(determinant) / beam.area(cell_arcsec)
        shape = -0.5 * self.amplitude * ratio / determinant * np.array([cyy, cxx, -cxy / 2.0])
        slope = np.concatenate([[ratio, 0.0, 0.0], shape])
        return self.amplitude * float(ratio), float(np.sqrt(max(slope @ self.covariance @ slope, 0.0)))


def autocorrelation(noise: Array, reach: int) -> Array:
    """Return the normalised autocorrelation of source-free noise out to ``reach`` pixels.

    Parameters
    ----------
    noise : (ny, nx)
        Image with NaN where there is a source or no data.
    reach
        Largest shift.

    Returns
    -------
    (2 reach + 1, 2 reach + 1)
        1 at the centre.
    """
    good = np.isfinite(noise)
    filled = np.where(good, noise, 0.0)
    shape = [size + reach for size in noise.shape]
    product = np.abs(np.fft.rfft2(filled, shape)) ** 2
    pairs = np.abs(np.fft.rfft2(good.astype(np.float64), shape)) ** 2
    sums, counts = np.fft.irfft2(product, shape), np.fft.irfft2(pairs, shape)
    shift = np.arange(-reach, reach + 1)
    cut = np.ix_(shift, shift)
    result = sums[cut] / np.maximum(counts[cut], 1.0)
    return np.asarray(result / result[reach, reach])


def _noise_covariance(x: Array, y: Array, correlation: Array) -> Array:
    reach = correlation.shape[0] // 2
    dx = (x[:, None] - x[None, :]).astype(int)
    dy = (y[:, None] - y[None, :]).astype(int)
    inside = (np.abs(dx) <= reach) & (np.abs(dy) <= reach)
    return np.where(inside, correlation[np.clip(dy + reach, 0, 2 * reach), np.clip(dx + reach, 0, 2 * reach)], 0.0)


def fit_gaussian(
    image: Array,
    start: tuple[float, float, float],
    form: tuple[float, float, float],
    rms: float,
    correlation: Array | None = None,
    *,
    radius: float,
) -> Fit:
    """Fit an elliptical Gaussian by unweighted least squares inside a circle.

    Parameters
    ----------
    image : (ny, nx)
        The image; NaN pixels are left out.
    start
        Amplitude, x and y (pixels from 0) to start with; the circle is centred there.
    form
        Quadratic form (cxx, cyy, cxy) to start with, see :meth:`Beam.widths`.
    rms
        Standard deviation of the noise.
    correlation : (2 k + 1, 2 k + 1), optional
        Autocorrelation of the noise; None: independent pixels.
    radius
        Of the circle, in pixels.

    Returns
    -------
    Fit
        Errors are those of this estimator in noise of that correlation,
        ``(J'J)^-1 J'CJ (J'J)^-1``: what Condon (1997, PASP 109, 166) approximates in closed form.
    """
    amplitude, x0, y0 = start
    ys, xs = np.mgrid[
        max(0, int(y0 - radius)) : min(image.shape[0], int(y0 + radius) + 2),
        max(0, int(x0 - radius)) : min(image.shape[1], int(x0 + radius) + 2),
    ]
    cut = image[ys, xs]
    use = ((xs - x0) ** 2 + (ys - y0) ** 2 <= radius**2) & np.isfinite(cut)
    x, y, data = xs[use].astype(np.float64), ys[use].astype(np.float64), cut[use].astype(np.float64)
    first = np.array([amplitude, x0, y0, *form])
    nothing = Fit(first, np.full((6, 6), np.nan), converged=False)
    if data.size < 2 * first.size:
        return nothing
    found = least_squares(
        lambda params: gaussian(params, x, y) - data,
        first,
        jac=lambda params: _jacobian(params, x, y),
        x_scale=np.array([abs(amplitude), 1.0, 1.0, *(3 * [np.sqrt(form[0] * form[1])])]),
        method="lm",
        max_nfev=60,
    )
    params = np.asarray(found.x)
    if not found.success or params[3] * params[4] <= params[5] ** 2 / 4.0 or params[3] <= 0:
        return nothing
    return Fit(params, _sandwich(params, x, y, rms, correlation), converged=True)


def _sandwich(params: Array, x: Array, y: Array, rms: float, correlation: Array | None) -> Array:
    jacobian = _jacobian(params, x, y)
    bread = np.linalg.pinv(jacobian.T @ jacobian)
    noise = np.eye(x.size) if correlation is None else _noise_covariance(x, y, correlation)
    return np.asarray(rms**2 * bread @ (jacobian.T @ noise @ jacobian) @ bread)
