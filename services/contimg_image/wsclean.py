"""Backend ``wsclean``: the program of that name (Offringa et al. 2014) with its w-gridder."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from contimg.errors import BadConfig, ResourceExhausted, Terminal
from contimg.radio.ms.stokes import write_ms
from contimg_image.deconvolve import Cleaned
from contimg_image.job import Job

__all__ = ["command", "run"]

_MEMORY_GB = 4
_MAJOR = re.compile(r"== Deconvolving \((\d+)\)")
_ITERATIONS = re.compile(r"Performed (\d+) iterations in total")


def command(job: Job, ms: Path, prefix: Path) -> list[str]:
    """Return the command line; sizes are rounded up to even as wsclean demands.

    One thread: several would add visibilities in any order, and no two images were the same.
    """
    p = job.params
    even = p.size + p.size % 2
    weighting = ["briggs", f"{p.robust:g}"] if p.weighting == "briggs" else [p.weighting]
    words = ["wsclean", "-name", str(prefix), "-size", str(even), str(even), "-scale", f"{p.cell_arcsec:.9g}asec"]
    words += ["-weight", *weighting, "-pol", "I", "-data-column", "DATA", "-no-update-model-required"]
    words += ["-use-wgridder", "-wgridder-accuracy", f"{p.epsilon:g}", "-j", "1"]
    words += ["-abs-mem", str(_MEMORY_GB), "-temp-dir", str(job.scratch), "-make-psf", "-niter", str(p.max_iterations)]
    words += ["-gain", f"{p.gain:g}", "-mgain", f"{p.major_gain:g}", "-nmiter", str(p.max_majors)]
    if p.auto_mask_sigma > 0:
        words += ["-auto-mask", f"{p.auto_mask_sigma:g}"]
    words += ["-auto-threshold", f"{p.threshold_sigma:g}"]
    if p.threshold_jy > 0:
        words += ["-threshold", f"{p.threshold_jy:g}"]
    if p.deconvolver == "multiscale":
        words += ["-multiscale", "-multiscale-scales", ",".join(f"{each:.3g}" for each in job.scales_px)]
    return [*words, str(ms)]


def run(job: Job) -> Cleaned:
    """Image with wsclean.

    Raises
    ------
    BadConfig
        If the program is not installed.
    ResourceExhausted
        If it ends for want of memory or disk.
    Terminal
        If it fails otherwise; the message has its last line.
    """
    if shutil.which("wsclean") is None:
        raise BadConfig("parameter 'backend' = 'wsclean', but there is no program wsclean; 'apt-get install wsclean'")
    ms, prefix = job.scratch / "averaged.ms", job.scratch / "wsc"
    write_ms(job.recording, job.vis, ms)
    lines = _follow(command(job, ms, prefix), job)
    text = "\n".join(lines)
    majors = [int(found) for found in _MAJOR.findall(text)]
    iterations = [int(found) for found in _ITERATIONS.findall(text)]
    images = {kind: _read(Path(f"{prefix}-{kind}.fits"), job.params.size) for kind in ("model", "residual", "psf")}
    version = next((line for line in lines if line.startswith("WSClean version")), "WSClean")
    return Cleaned(
        **images,
        iterations=max(iterations, default=0),
        majors=max(majors, default=0),
        ended="iterations" if max(iterations, default=0) >= job.params.max_iterations else "threshold",
        notes={"wsclean": version},
    )


def _follow(words: list[str], job: Job) -> list[str]:
    """Run the program, report its major cycles, and keep what it prints."""
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603 - the words are ours, no shell
        words, cwd=job.scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            found = _MAJOR.search(line)
            if found:
                job.report(int(found[1]), job.params.max_majors, "major cycle of wsclean")
    if process.returncode != 0:
        last = next((line for line in reversed(lines) if line.strip("+ ")), "nothing")
        full = any(word in last.lower() for word in ("bad_alloc", "memory", "no space"))
        kind = ResourceExhausted if full else Terminal
        raise kind(f"wsclean ended with code {process.returncode} on {job.recording.path}, its last line: {last}")
    return lines


def _read(path: Path, size: int) -> NDArray[np.float32]:
    """Read one image; an even one is cut to the odd size asked for, keeping the centre at ``n // 2``."""
    image = np.asarray(fits.getdata(path), np.float32)[0, 0]
    first = image.shape[0] // 2 - size // 2
    return np.ascontiguousarray(image[first : first + size, first : first + size])
