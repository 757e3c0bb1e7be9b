"""Fourier transforms and w-gridding by ducc0 whose last bits do not depend on the machine.

ducc0 deals lines out to the number of threads it is told, and full and partial vectors round differently. So it is
told the same number everywhere; with fewer processors they take turns (docs/same-bytes.md).
"""

from __future__ import annotations

from typing import Any

import ducc0
import numpy as np
from numpy.typing import NDArray

__all__ = ["THREADS", "back", "forward"]

THREADS = 4
"""Threads that ducc0 is told, whatever the processors."""

ducc0.misc.resize_thread_pool(THREADS)  # it would take no more than there are processors


def forward(image: NDArray[Any]) -> NDArray[Any]:
    """Return the transform of a real image, shape (N, N), as its half, shape (N, N // 2 + 1), dimensionless sums."""
    half: NDArray[Any] = ducc0.fft.r2c(np.ascontiguousarray(image), nthreads=THREADS)
    return half


def back(half: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the real image, shape (N, size), of a transform of shape (N, size // 2 + 1), dimensionless."""
    # ducc0 transforms forward unless told otherwise, also from complex to real: the image would be turned.
    image: NDArray[Any] = ducc0.fft.c2r(half, lastsize=size, inorm=2, forward=False, nthreads=THREADS)
    return image
