"""Minor cycles on one residual image: Clark's point-source CLEAN and a multi-scale CLEAN built upon it."""

from __future__ import annotations

from typing import Protocol

import numba as nb
import numpy as np
from numpy.typing import NDArray

from contimg_image import fourier

__all__ = ["Clark", "Minor", "Multiscale"]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

_CANDIDATES = 60_000
"""Most pixels that one minor cycle works on: the loop over them stays in the processor's cache."""
_DEPTH = 0.7
"""Within one scale CLEAN goes down to this part of the peak before the scales are compared again."""
_ROUNDING = 1e-5
"""Part of the highest component below which a pixel is rounding error of the Fourier transforms."""
_BLIND = 0.02
"""A scale of which the array sees less than this is left out: its components would be anything."""


class Minor(Protocol):
    """A way to find components in a residual image."""

    def peak(self, residual: Image, mask: Mask) -> float:
        """Return the highest value that :meth:`run` would look at [Jy/beam]."""

    def significant(self, residual: Image, level: float) -> Mask:
        """Return where a component may start: above this level [Jy/beam]."""

    def run(self, residual: Image, mask: Mask, limit: float, budget: int, model: Image) -> int:
        """Add components to ``model`` until the peak is below ``limit`` or ``budget`` is used; return their number."""


@nb.njit(cache=True, nogil=True)
def _clark(value, ys, xs, psf, gain, budget, limit, component):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - a numba kernel
    """Högbom's loop over listed pixels; each subtraction finds the next peak on its way."""
    height, width = psf.shape
    half_y, half_x = height // 2, width // 2
    best = 0
    for i in range(value.size):
        if abs(value[i]) > abs(value[best]):
            best = i
    runaway = 2 * abs(value[best])
    for done in range(budget):
        if abs(value[best]) <= limit or abs(value[best]) > runaway:
            return done
        flux = gain * value[best]
        component[best] += flux
        from_y, from_x = half_y - ys[best], half_x - xs[best]
        best = 0
        for i in range(value.size):
            dy, dx = ys[i] + from_y, xs[i] + from_x
            if 0 <= dy < height and 0 <= dx < width:
                value[i] -= flux * psf[dy, dx]
            if abs(value[i]) > abs(value[best]):
                best = i
    return budget


def _components(residual: Image, mask: Mask, psf: Image, gain: float, limit: float, budget: int) -> tuple[Image, int]:
    """Run Clark's loop on the brightest masked pixels; return the components as an image and their number."""
    found = np.zeros_like(residual)
    height = np.where(mask, np.abs(residual), 0)
    floor = 0.5 * limit
    if np.count_nonzero(height > floor) > _CANDIDATES:
        floor = float(np.partition(height, -_CANDIDATES, axis=None)[-_CANDIDATES])
    ys, xs = (axis.astype(np.int32) for axis in np.nonzero(height > floor))
    if not ys.size:
        return found, 0
    component = np.zeros(ys.size, np.float32)
    # A pixel that is not in the list may be as high as the floor, so nothing below it is cleaned now.
    limit = max(limit, floor)
    done = _clark(residual[ys, xs], ys, xs, psf, np.float32(gain), budget, np.float32(limit), component)
    found[ys, xs] = component
    return found, done


class Clark:
    """Point components (Clark 1980): the whole PSF acts on a list of the brightest pixels.

    Parameters
    ----------
    psf
        Shape (N, N), peak 1 at ``N // 2``.
    gain
        Part of a peak that one component takes away.
    """

    def __init__(self, psf: Image, gain: float) -> None:
        centre = psf.shape[0] // 2
        half = psf.shape[0] - centre - 1  # odd and symmetric about the centre, for even and odd N
        self._psf = np.ascontiguousarray(psf[centre - half : centre + half + 1, centre - half : centre + half + 1])
        self._gain = gain

    @staticmethod
    def peak(residual: Image, mask: Mask) -> float:
        """Return the largest absolute value inside the mask."""
        return float(np.abs(residual[mask]).max(initial=0.0))

    @staticmethod
    def significant(residual: Image, level: float) -> Mask:
        """See :class:`Minor`."""
        return np.asarray(np.abs(residual) > level)

    def run(self, residual: Image, mask: Mask, limit: float, budget: int, model: Image) -> int:
        """See :class:`Minor`."""
        found, done = _components(residual, mask, self._psf, self._gain, limit, budget)
        model += found
        return done


class Multiscale:
    """Components of several sizes (Cornwell 2008), scale by scale with Clark's loop (as Offringa and Smirnov 2017).

    For a scale with kernel m (unit sum) the image R⊗m / √P is looked at, where P is the central value of
    PSF⊗m⊗m: noise has the same rms at all scales then, and the scale whose peak is highest lowers χ² most.

    Parameters
    ----------
    psf
        Shape (N, N), peak 1 at ``N // 2``.
    gain
        Part of a peak that one component takes away.
    scales_px
        Diameters of the components [pixels]; below 2: a point.
    """

    def __init__(self, psf: Image, gain: float, scales_px: tuple[float, ...]) -> None:
        self._gain = gain
        self._shape = psf.shape
        # Cut off at the image's edge a PSF is no longer a sum of waves with positive weights, and CLEAN of large
        # scales would run away; without the negative ones it is again.
        self._psf = np.maximum(_half(np.fft.ifftshift(psf)).real, 0)
        self._kernels: list[NDArray[np.float32]] = []
        self._norms: list[float] = []
        self._clarks: list[Clark] = []
        for diameter in scales_px:
            kernel = _half(np.fft.ifftshift(_kernel(psf.shape[0], diameter))).real
            cross = np.fft.fftshift(self._back((self._psf * kernel**2).astype(np.complex64)))
            peak = float(cross[self._shape[0] // 2, self._shape[1] // 2])
            if peak < _BLIND:
                continue
            self._kernels.append(kernel)
            self._norms.append(peak**0.5)
            self._clarks.append(Clark(cross / np.float32(peak), gain))

    def peak(self, residual: Image, mask: Mask) -> float:
        """Return the largest absolute value of all scales inside the mask."""
        half = _half(residual)
        return max(Clark.peak(self._view(half, k), mask) for k in range(len(self._norms)))

    def significant(self, residual: Image, level: float) -> Mask:
        """Return where any scale is above the level."""
        half = _half(residual)
        found = np.zeros(residual.shape, bool)
        for k in range(len(self._norms)):
            found |= Clark.significant(self._view(half, k), level)
        return found

    def run(self, residual: Image, mask: Mask, limit: float, budget: int, model: Image) -> int:
        """See :class:`Minor`."""
        half, added = _half(residual), np.zeros(self._psf.shape, np.complex64)
        done = 0
        while done < budget:
            views = [self._view(half, k) for k in range(len(self._norms))]
            peaks = [Clark.peak(view, mask) for view in views]
            k = int(np.argmax(peaks))
            if peaks[k] <= limit:
                break
            found = np.zeros_like(residual)
            count = self._clarks[k].run(views[k], mask, max(limit, _DEPTH * peaks[k]), budget - done, found)
            if count == 0:
                break
            done += count
            piece = _half(found / np.float32(self._norms[k])) * self._kernels[k]
            added += piece
            half -= piece * self._psf
        found = self._back(added)
        found[np.abs(found) < _ROUNDING * np.abs(found).max()] = 0
        model += found
        return done

    def _view(self, half: NDArray[np.complex64], k: int) -> Image:
        return self._back(half * self._kernels[k]) / np.float32(self._norms[k])

    def _back(self, half: NDArray[np.complex64]) -> Image:
        return fourier.back(half, self._shape[1])


def _half(image: Image) -> NDArray[np.complex64]:
    return fourier.forward(image.astype(np.float32, copy=False))


def _kernel(size: int, diameter_px: float) -> Image:
    """Cornwell's component: a paraboloid, tapered to have no edge, unit sum, centred at ``size // 2``."""
    offset = np.arange(size) - size // 2
    radius = np.hypot(offset[:, None], offset[None, :]) / max(diameter_px / 2, 1.0)
    inside = radius < 1
    shape = np.zeros((size, size), np.float32)
    shape[inside] = (1 - radius[inside] ** 2) * 0.5 * (1 + np.cos(np.pi * radius[inside]))
    shape /= np.float32(shape.sum(dtype=np.float64))
    return shape
