"""What every imaging backend is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contimg.radio.gaussians import ARCSEC, Beam
from contimg.radio.ms.read import Recording
from contimg_image.params import ImageParams
from contimg_image.primary import PrimaryBeam
from contimg_image.visibilities import Visibilities

__all__ = ["Job", "margin_px"]

_AUTOMATIC_SCALES = (0.0, 2.0, 4.0, 8.0)
"""In beams."""


def margin_px(params: ImageParams) -> int:
    """Return the width of the frame around the image that is cleaned and cut off [pixels]."""
    return round(params.margin * params.size) if params.backend == "ducc" else 0


def _silent(done: int, total: int, what: str) -> None:
    """Discard a report."""


@dataclass(frozen=True)
class Job:
    """Visibilities and what to do with them."""

    recording: Recording
    vis: Visibilities
    weight: NDArray[np.float32]
    """Imaging weights, shape (R, C)."""
    fitted: Beam
    """Fit to the main lobe of the PSF."""
    primary: PrimaryBeam
    """Over the image and its frame."""
    params: ImageParams
    scratch: Path
    """Existing directory for files that nobody needs afterwards."""
    report: Callable[[int, int, str], None] = _silent

    @property
    def cell_rad(self) -> float:
        """Side of a pixel [rad]."""
        return self.params.cell_arcsec * ARCSEC

    @property
    def cut(self) -> tuple[slice, slice]:
        """The image within its frame."""
        first = margin_px(self.params)
        return (slice(first, first + self.params.size),) * 2

    @property
    def scales_px(self) -> tuple[float, ...]:
        """Diameters of the multi-scale components [pixels]; none above a fifth of the image."""
        given = self.params.scales_arcsec or tuple(k * self.fitted.major_arcsec for k in _AUTOMATIC_SCALES)
        pixels = sorted({each / self.params.cell_arcsec for each in given})
        return tuple(each for each in pixels if each <= 0.2 * self.params.size) or (0.0,)
