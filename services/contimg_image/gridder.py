"""Between visibilities and images: ducc0's w-gridder with the axes of a FITS image.

The image of a task is the same to the last bit on any number of processors. Several threads of ducc0 would add
visibilities to the grid in any order, so fixed chunks of them, by |w|, are gridded by one thread each and the images
added in the order of the chunks. Prediction only reads the grid and is left to ducc0, see :mod:`contimg_image.fourier`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import ducc0
import numpy as np
from numpy.typing import NDArray

from contimg_image.fourier import THREADS
from contimg_image.primary import Term

__all__ = ["Gridder", "chunks"]

_FEWEST_CHUNKS, _MOST_CHUNKS = 2, 8
_CHUNKS_PER_SAMPLE = 2.0
"""Chunks per visibility and pixel: each transforms some seven planes of w of its own, which shall stay a small part."""
_AT_ONCE = 4
"""Chunks gridded at a time: each holds a grid of 2 to 3 complex64 per pixel of the image (0.7 GB for 5760²)."""
_COARSEST = 1e-2
"""Largest ``epsilon`` asked of ducc0."""


def chunks(w_m: NDArray[np.float64], samples: int, pixels: int) -> list[NDArray[np.intp]]:
    """Divide rows by |w| into parts of one size, whose number depends on the data and the image alone.

    Parameters
    ----------
    w_m
        Shape (R,) [m].
    samples, pixels
        Numbers of visibilities and of pixels.

    Returns
    -------
    list of ndarray of intp
        Ascending numbers of rows, each row once; together of length R.
    """
    wanted = int(np.clip(_CHUNKS_PER_SAMPLE * samples / pixels, _FEWEST_CHUNKS, _MOST_CHUNKS))
    order = np.argsort(np.abs(w_m), kind="stable")
    return [np.sort(part) for part in np.array_split(order, wanted) if part.size]


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
    flat
        What is left of w is so short that passes may leave it out unless they are asked to be exact.
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
        *,
        flat: bool = False,
    ) -> None:
        self.size = size
        self.flat = flat
        self._terms = terms
        self._uvw = uvw_m
        self._weight = weight
        self._epsilon = epsilon
        self._even = max(32, size + size % 2)
        # With v turned, the image axes of ducc0 are those of FITS: x grows to the west, y to the north.
        self._common = {
            "freq": freq_hz,
            "pixsize_x": cell_rad,
            "pixsize_y": cell_rad,
            "flip_v": True,
            "divide_by_n": False,
        }
        self._norm = float(weight.sum(dtype=np.float64))
        self._chunks = chunks(uvw_m[:, 2], weight.size, self._even**2)

    def psf(self) -> NDArray[np.float32]:
        """Return the response to 1 Jy at the centre, shape (N, N), peak exactly 1; later images get the same scale."""
        image = self._image(np.ones(self._weight.shape, np.complex64), exact=False)
        peak = float(image[self.size // 2, self.size // 2])
        self._norm *= peak
        return np.asarray(image / np.float32(peak), np.float32)

    def dirty(self, data: NDArray[np.complex64], *, exact: bool = True) -> NDArray[np.float32]:
        """Return the dirty image of visibilities, shape (R, C) [Jy], in Jy/beam; not ``exact``: w may be left out."""
        return self._image(data, exact=exact)

    def predict(self, model: NDArray[np.float32], *, exact: bool = True) -> NDArray[np.complex64]:
        """Return the visibilities of a model image [Jy/pixel], shape (R, C) [Jy]; not ``exact``: w may be left out.

        The terms, which are weaker, are as accurate in Jy as the model itself, not as a part of their own.
        """
        total, whole = self._visibilities(model, self._epsilon, exact=exact), _power(model)
        for term in self._terms:
            change = model * term.image
            power = _power(change)
            if power > 0:
                epsilon = min(_COARSEST, self._epsilon * max(1.0, float(np.sqrt(whole / power))))
                total += term.factor * self._visibilities(change, epsilon, exact=exact)
        return total

    @property
    def _inside(self) -> tuple[slice, slice]:
        """Part of the even-sized grid that is the image; both have their centre at n // 2."""
        first = self._even // 2 - self.size // 2
        return (slice(first, first + self.size),) * 2

    def _visibilities(self, model: NDArray[np.float32], epsilon: float, *, exact: bool) -> NDArray[np.complex64]:
        padded = np.zeros((self._even, self._even), np.float32)
        padded[self._inside] = model
        found: NDArray[np.complex64] = ducc0.wgridder.dirty2vis(
            uvw=self._uvw,
            dirty=np.ascontiguousarray(padded.T),
            epsilon=epsilon,
            do_wgridding=exact or not self.flat,
            nthreads=THREADS,
            **self._common,
        )
        return found

    def _image(self, data: NDArray[np.complex64], *, exact: bool) -> NDArray[np.float32]:
        def gridded(rows: NDArray[np.intp]) -> NDArray[np.float32]:
            image: NDArray[np.float32] = ducc0.wgridder.vis2dirty(
                uvw=self._uvw[rows],
                vis=data[rows],
                wgt=self._weight[rows],
                npix_x=self._even,
                npix_y=self._even,
                epsilon=self._epsilon,
                do_wgridding=exact or not self.flat,
                nthreads=1,
                **self._common,
            )
            return image

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            first, *others = pool.map(gridded, self._chunks)
        for image in others:
            first += image
        return np.asarray(first.T[self._inside] / np.float32(self._norm), np.float32, order="C")


def _power(image: NDArray[np.float32]) -> float:
    return float(np.square(image, dtype=np.float64).sum())
