"""The three ways to make a clean image of the same visibilities behind the same parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from contimg_image import tclean, wsclean
from contimg_image.clean import Clark, Minor, Multiscale
from contimg_image.deconvolve import Cleaned, Limits, deconvolve
from contimg_image.gridder import Gridder
from contimg_image.job import Job, margin_px

__all__ = ["make"]

_FLAT_TURNS = 0.03
"""Left out, so much of w lowers a peak in the corners by 2 %, in the middle by nothing; the last passes keep it."""
_LIGHT = 299792458.0


def make(job: Job) -> Cleaned:
    """Image with the backend that the parameters name."""
    backends: dict[str, Callable[[Job], Cleaned]] = {"ducc": _ducc, "wsclean": wsclean.run, "tclean": tclean.run}
    return backends[job.params.backend](job)


def _flat(job: Job, size: int) -> bool:
    """Say whether w turns no visibility of a source in a corner by more than a small part, root mean square."""
    if job.vis.slope == (0.0, 0.0):
        return False
    w = float(np.sqrt(np.square(job.vis.uvw_m[:, 2]).mean())) * float(job.vis.freq_hz.max()) / _LIGHT
    depth = 1 - np.sqrt(max(0.0, 1 - 2 * (size / 2 * job.cell_rad) ** 2))
    return bool(w * depth < _FLAT_TURNS)


def _ducc(job: Job) -> Cleaned:
    params = job.params
    terms = job.primary.terms if params.follow_beam else ()
    size = params.size + 2 * margin_px(params)
    flat = _flat(job, size)
    gridder = Gridder(job.vis.uvw_m, job.vis.freq_hz, job.weight, size, job.cell_rad, params.epsilon, terms, flat=flat)
    names = ("auto_mask_sigma", "threshold_sigma", "threshold_jy", "max_iterations", "max_majors", "major_gain")
    limits = Limits(**{name: getattr(params, name) for name in names})

    def minor(psf: NDArray[np.float32]) -> Minor:
        if params.deconvolver == "clark":
            return Clark(psf, params.gain)
        return Multiscale(psf, params.gain, job.scales_px)

    return deconvolve(gridder, job.vis.data, minor, limits, job.report)
