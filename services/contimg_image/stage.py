"""Stage image: one calibrated recording becomes a restored image and its siblings."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from contimg.models.quality import Figure, judge, worst
from contimg.radio.gaussians import Beam
from contimg.radio.ms.read import open_recording
from contimg.stage import ProductDraft, Stage, StageContext, StageResult
from contimg_image.backends import make
from contimg_image.common import common_beam
from contimg_image.deconvolve import Cleaned, inner_mask, mad_rms
from contimg_image.gridder import Gridder
from contimg_image.header import celestial, image_header, tag
from contimg_image.job import Job, margin_px
from contimg_image.outputs import UNITS, write_casa_image, write_fits
from contimg_image.params import ImageParams
from contimg_image.primary import drifts, pointing_dec, primary_beam
from contimg_image.quicklook import write_picture
from contimg_image.restoring import fit_beam, matched, restore
from contimg_image.visibilities import read_visibilities, slanted
from contimg_image.weighting import imaging_weights, thermal_rms

__all__ = ["ImageStage"]

_PSF_SIZE = 512
"""Pixels around the centre that are enough to fit the main lobe."""


class ImageStage(Stage[ImageParams]):
    """CLEAN image, Jy/beam, not corrected for the primary beam; and what is needed to judge and combine it."""

    def run(self, context: StageContext[ImageParams]) -> StageResult:
        """Make the image of one observation.

        Raises
        ------
        BadInput
            If the calibrated measurement set is not what stage apply writes.
        BadConfig
            If a parameter does not fit the data, or the backend is not installed.
        DataQuality
            If nothing unflagged is left.
        """
        scratch = context.workdir.resolve() / "scratch"
        scratch.mkdir()
        try:
            job = _prepare(context, scratch)
            cleaned = make(job)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return _finish(context, job, cleaned)


def _prepare(context: StageContext[ImageParams], scratch: Path) -> Job:
    params = context.params
    recording = open_recording(context.run("calibrated_ms").product("calibrated_ms"))
    vis = read_visibilities(
        recording,
        channels=params.channels,
        channel_average=params.channel_average,
        min_uv_lambda=params.min_uv_lambda,
        report=context.report,
    )
    if params.backend == "ducc" and drifts(recording):
        vis = slanted(vis)
    cell = np.radians(params.cell_arcsec / 3600)
    weight = imaging_weights(vis, params.size, float(cell), params.weighting, params.robust)
    context.log.info("visibilities read", rows=len(vis.data), channels=len(vis.freq_hz))
    psf = Gridder(vis.uvw_m, vis.freq_hz, weight, min(params.size, _PSF_SIZE), float(cell)).psf()
    fitted = fit_beam(psf, float(cell))
    sky = celestial(image_header(recording, vis, params, fitted))
    sky.wcs.crpix += margin_px(params)
    whole = params.size + 2 * margin_px(params)
    primary = primary_beam(recording, vis, weight, sky, whole, params.beam_model)
    return Job(recording, vis, weight, fitted, primary, params, scratch, context.report)


def _restoring_beam(job: Job) -> Beam:
    given = job.params.restoring_beam_arcsec
    if given > 0:
        return Beam(given, given, 0.0)
    if not drifts(job.recording):
        return job.fitted
    return common_beam(job.recording, pointing_dec(job.recording, job.vis), job.params)


def _finish(context: StageContext[ImageParams], job: Job, cleaned: Cleaned) -> StageResult:
    params = job.params
    beam = _restoring_beam(job)
    cut = job.cut
    residual = matched(cleaned.residual, cleaned.psf, job.fitted, beam, job.cell_rad)
    restored = restore(cleaned.model, residual, beam, job.cell_rad)[cut]
    cleaned = replace(cleaned, model=cleaned.model[cut], residual=residual[cut], psf=cleaned.psf[cut])
    measured = _measure(job, cleaned, restored)
    figures = _figures(params, measured, beam, cleaned)
    extra = {"GROUPID": context.group, "QAVERD": worst(figure.verdict for figure in figures).value}
    if context.task:
        extra["RECIPE"] = context.task
    header = image_header(job.recording, job.vis, params, beam, extra)
    pb = job.primary.mean[cut]
    images = {"": restored, "residual": cleaned.residual, "model": cleaned.model, "psf": cleaned.psf, "pb": pb}
    images["pbcor"] = np.where(pb >= params.pb_floor, restored / np.maximum(pb, 1e-6), np.float32(np.nan))
    stem = f"{context.unit}_{tag(params)}"
    for kind in UNITS:
        write_fits(context.workdir / _file(stem, kind), images[kind], header, kind)
    write_casa_image(context.workdir / _file(stem, ""), context.workdir / f"{stem}.image")
    title = f"{job.recording.source or context.unit}   {header['DATE-OBS'][:19]} UTC   {header['CRVAL4'] / 1e9:.4f} GHz"
    write_picture(
        context.workdir / f"{stem}.png", restored, celestial(header), beam, measured["rms_mad"] or np.inf, title
    )
    info = _info(job, header, beam, measured, cleaned)
    return StageResult(products=_products(context.date, stem), figures=figures, info=info)


def _measure(job: Job, cleaned: Cleaned, restored: np.ndarray[Any, Any]) -> dict[str, float]:
    inside = inner_mask(job.params.size)
    rms = float(cleaned.residual[inside].std(dtype=np.float64))
    peak = float(restored[inside].max())
    return {
        "rms": rms,
        "rms_mad": mad_rms(cleaned.residual[inside]),
        "thermal_rms": thermal_rms(job.vis.weight, job.weight),
        "peak": peak,
        "dynamic_range": peak / rms if rms > 0 else float("nan"),
    }


def _figures(params: ImageParams, measured: dict[str, float], beam: Beam, cleaned: Cleaned) -> tuple[Figure, ...]:
    plain = {
        **{name: (measured[name], "Jy/beam") for name in ("rms", "rms_mad", "thermal_rms", "peak")},
        "beam_major": (beam.major_arcsec, "arcsec"),
        "beam_minor": (beam.minor_arcsec, "arcsec"),
        "beam_pa": (beam.pa_deg, "deg"),
        "iterations": (float(cleaned.iterations), ""),
        "majors": (float(cleaned.majors), ""),
    }
    dynamic_range = judge(
        "image.dynamic_range",
        measured["dynamic_range"],
        degraded_below=params.degraded_dynamic_range,
        failed_below=params.failed_dynamic_range,
    )
    return dynamic_range, *(judge(f"image.{name}", value, unit) for name, (value, unit) in plain.items())


def _info(job: Job, header: fits.Header, beam: Beam, measured: dict[str, float], cleaned: Cleaned) -> dict[str, Any]:
    return {
        "beam": vars(beam),
        "fitted_beam": vars(job.fitted),
        "rms_jy": measured["rms_mad"],
        "peak_jy": measured["peak"],
        "ra_deg": header["CRVAL1"],
        "dec_deg": header["CRVAL2"],
        "freq_hz": header["CRVAL4"],
        "mjd_avg": header["MJD-AVG"],
        "tag": tag(job.params),
        "beam_model": job.params.beam_model,
        "backend": {"name": job.params.backend, **cleaned.notes},
        "ended": cleaned.ended,
        "channels": len(job.vis.freq_hz),
        "visibilities": int(np.count_nonzero(job.weight)),
    }


def _file(stem: str, kind: str) -> str:
    return f"{stem}_{kind}.fits" if kind else f"{stem}.fits"


def _products(date: str, stem: str) -> tuple[ProductDraft, ...]:
    paths = {"": f"{stem}.image", "fits": f"{stem}.fits"}
    paths |= {kind: _file(stem, kind) for kind in UNITS if kind}
    paths["png"] = f"{stem}.png"
    return tuple(
        ProductDraft("image", Path(path).name, path, (f"{date}/{path}",), role) for role, path in paths.items()
    )
