"""Backend ``tclean``: CASA's imager with w-projection, run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from casacore.images import image as casa_image
from numpy.typing import NDArray

from contimg.errors import Terminal
from contimg.radio.casa import casatasks
from contimg.radio.ms.stokes import write_ms
from contimg_image.deconvolve import Cleaned
from contimg_image.job import Job

__all__ = ["arguments", "run"]


def arguments(job: Job, ms: Path, prefix: Path) -> dict[str, Any]:
    """Return the arguments of ``tclean``.

    The mask is CASA's own auto-multithresh with our ``auto_mask_sigma`` as its noise threshold; ``epsilon`` and
    ``max_majors`` have no counterpart there.
    """
    p = job.params
    found: dict[str, Any] = {
        "vis": str(ms),
        "imagename": str(prefix),
        "imsize": p.size,
        "cell": f"{p.cell_arcsec:.9g}arcsec",
        "stokes": "I",
        "specmode": "mfs",
        "gridder": "wproject",
        "wprojplanes": -1,
        "weighting": p.weighting,
        "robust": p.robust,
        "deconvolver": "multiscale" if p.deconvolver == "multiscale" else "clark",
        "niter": p.max_iterations,
        "gain": p.gain,
        "threshold": f"{p.threshold_jy:.9g}Jy",
        "nsigma": p.threshold_sigma,
        "cyclefactor": 1.0,
        "minpsffraction": 1 - p.major_gain,
        "datacolumn": "data",
        "pblimit": -0.1,
        "restoration": False,
        "calcres": True,
        "parallel": False,
    }
    if p.auto_mask_sigma > 0:
        found |= {"usemask": "auto-multithresh", "noisethreshold": p.auto_mask_sigma, "sidelobethreshold": 1.0}
        found |= {"negativethreshold": 0.0, "minbeamfrac": 0.0, "fastnoise": True}
    if p.deconvolver == "multiscale":
        found["scales"] = [round(each) for each in job.scales_px]
    return found


def run(job: Job) -> Cleaned:
    """Image with tclean.

    Raises
    ------
    BadConfig
        If casadata is absent.
    Terminal
        If the task fails; the message has CASA's reason.
    """
    tasks = casatasks(job.scratch)
    ms, prefix = job.scratch / "averaged.ms", job.scratch / "tc"
    write_ms(job.recording, job.vis, ms)
    job.report(0, 1, "tclean")
    try:
        summary = tasks.tclean(**arguments(job, ms, prefix))
    except RuntimeError as error:
        raise Terminal(f"tclean failed on {job.recording.path}: {error}; try backend 'ducc'") from error
    iterations = int(summary.get("iterdone", 0))
    return Cleaned(
        model=_read(prefix, "model"),
        residual=_read(prefix, "residual"),
        psf=_read(prefix, "psf"),
        iterations=iterations,
        majors=int(summary.get("nmajordone", 0)),
        ended="iterations" if iterations >= job.params.max_iterations else "threshold",
        notes={"tclean": str(tasks.version_string())},
    )


def _read(prefix: Path, kind: str) -> NDArray[np.float32]:
    """Read one image; casacore gives its axes in reverse: frequency, Stokes, y, x."""
    opened = casa_image(f"{prefix}.{kind}")
    return np.ascontiguousarray(opened.getdata()[0, 0], np.float32)
