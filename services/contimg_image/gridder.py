"""Between visibilities and images: ducc0's w-gridder with the axes of a FITS image."""

from __future__ import annotations

import os

import ducc0
import numpy as np
from numpy.typing import NDArray

from contimg_image.primary import Term

__all__ = ["Gridder", "threads"]


def threads() -> int:
    """Return the number of threads to use: OMP_NUM_THREADS, or the processors this process may use."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else len(os.sched_getaffinity(0))


class Gridder:
    """Images [y, x], north up, east to the left, centre at pixel ``size // 2``, of given visibilities.

    Parameters
    ----------
    uvw_m
        Shape (R, 3), in the sense of a measurement set [m].
    freq_hz
        Shape (C,).
    weight
        Imaging weights, shape (R, C).
    size, cell_rad
        Pixels along a side and their side [rad].
    epsilon
        Relative accuracy.
    terms
        How the brightness of a model changes over the visibilities, see :class:`contimg_image.primary.Term`.
    """

    def __init__(
        self,
        uvw_m: NDArray[np.float64],
        freq_hz: NDArray[np.float64],
        weight: NDArray[np.float32],
        size: int,
        cell_rad: float,
        epsilon: float = 1e-4,
        terms: tuple[Term, ...] = (),
    ) -> None:
        self.size = size
        self._terms = terms
        self._weight = weight
        self._even = max(32, size + size % 2)
        # With v turned, the image axes of ducc0 are those of FITS: x grows to the west, y to the north.
        self._common = {
            "uvw": uvw_m,
            "freq": freq_hz,
            "pixsize_x": cell_rad,
            "pixsize_y": cell_rad,
            "epsilon": epsilon,
            "do_wgridding": True,
            "nthreads": threads(),
            "flip_v": True,
            "divide_by_n": False,
        }
        self._norm = float(weight.sum(dtype=np.float64))

    def psf(self) -> NDArray[np.float32]:
        """Return the response to a point of 1 Jy at the centre, peak exactly 1; later images get the same scale."""
        image = self._image(np.ones(self._weight.shape, np.complex64))
        peak = float(image[self.size // 2, self.size // 2])
        self._norm *= peak
        return np.asarray(image / np.float32(peak), np.float32)

    def dirty(self, data: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Return the dirty image of visibilities, shape (R, C) [Jy], in Jy/beam."""
        return self._image(data)

    def predict(self, model: NDArray[np.float32]) -> NDArray[np.complex64]:
        """Return the visibilities of a model image [Jy/pixel], shape (R, C) [Jy]."""
        total = self._visibilities(model)
        for term in self._terms:
            total += term.factor * self._visibilities(model * term.image)
        return total

    @property
    def _inside(self) -> tuple[slice, slice]:
        """Part of the even-sized grid that is the image; both have their centre at n // 2."""
        first = self._even // 2 - self.size // 2
        return (slice(first, first + self.size),) * 2

    def _visibilities(self, model: NDArray[np.float32]) -> NDArray[np.complex64]:
        padded = np.zeros((self._even, self._even), np.float32)
        padded[self._inside] = model
        found: NDArray[np.complex64] = ducc0.wgridder.dirty2vis(dirty=np.ascontiguousarray(padded.T), **self._common)
        return found

    def _image(self, data: NDArray[np.complex64]) -> NDArray[np.float32]:
        raw = ducc0.wgridder.vis2dirty(vis=data, wgt=self._weight, npix_x=self._even, npix_y=self._even, **self._common)
        return np.asarray(raw.T[self._inside] / np.float32(self._norm), np.float32, order="C")
