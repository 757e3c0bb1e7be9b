"""The in-process backend as a whole: parameters reach the deconvolution, the frame, the scales and the beam."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from visibility_sim import Observation, Source, random_array, write_ms

from contimg.radio.gaussians import Beam
from contimg.radio.ms.read import open_recording
from contimg_image.backends import make
from contimg_image.deconvolve import inner_mask, mad_rms
from contimg_image.gridder import Gridder
from contimg_image.job import Job, margin_px
from contimg_image.params import ImageParams
from contimg_image.primary import PrimaryBeam, Term
from contimg_image.restoring import fit_beam
from contimg_image.visibilities import read_visibilities
from contimg_image.weighting import imaging_weights, thermal_rms

CELL = np.radians(6 / 3600)


def job(recording, vis, tmp_path, terms=(), **params):
    chosen = ImageParams(**({"cell_arcsec": 6, "size": 256, "robust": 0.5} | params))
    weight = imaging_weights(vis, chosen.size, CELL, chosen.weighting, chosen.robust)
    fitted = fit_beam(Gridder(vis.uvw_m, vis.freq_hz, weight, 256, CELL).psf(), CELL)
    size = chosen.size + 2 * margin_px(chosen)
    return Job(recording, vis, weight, fitted, PrimaryBeam(np.ones((size, size), np.float32), terms), chosen, tmp_path)


@pytest.mark.parametrize(("size", "margin", "frame"), [(100, 0.1, 10), (101, 0.1, 10), (100, 0.0, 0)])
def test_frame_surrounds_the_image(small_recording, small_vis, tmp_path, size, margin, frame):
    given = job(small_recording, small_vis, tmp_path, size=size, margin=margin, max_iterations=0)
    assert margin_px(given.params) == frame
    found = make(given)
    whole = size + 2 * frame
    assert found.psf.shape == (whole, whole)
    assert found.psf[given.cut].shape == (size, size)
    assert found.psf[given.cut][size // 2, size // 2] == 1


def test_other_programs_get_no_frame():
    assert margin_px(ImageParams(backend="wsclean", margin=0.5)) == 0
    assert margin_px(ImageParams(backend="tclean")) == 0


def test_image_does_not_depend_on_the_frame(small_recording, small_vis, tmp_path):
    plain, framed = (
        job(small_recording, small_vis, tmp_path, size=256, margin=margin, max_iterations=0) for margin in (0.0, 0.15)
    )
    first, second = make(plain), make(framed)
    assert np.abs(first.residual - second.residual[framed.cut]).max() < 2e-3 * first.residual.max()


def test_iterations_and_gain_reach_the_minor_cycle(small_recording, small_vis, tmp_path):
    found = make(job(small_recording, small_vis, tmp_path, max_iterations=1, gain=0.5))
    assert (found.iterations, np.count_nonzero(found.model)) == (1, 1)
    peak = make(job(small_recording, small_vis, tmp_path, max_iterations=0)).residual.max()
    assert found.model.max() == pytest.approx(0.5 * peak, rel=1e-3)


@pytest.mark.parametrize("deconvolver", ["clark", "multiscale"])
def test_both_deconvolvers_reach_the_noise_of_points(small_recording, small_vis, tmp_path, deconvolver):
    found = make(job(small_recording, small_vis, tmp_path, deconvolver=deconvolver, threshold_sigma=2.0))
    weight = imaging_weights(small_vis, 256, CELL, "briggs", 0.5)
    inside = inner_mask(found.residual.shape[0])
    assert found.model.sum() == pytest.approx(1.4, rel=0.02)
    assert mad_rms(found.residual[inside]) < 3 * thermal_rms(small_vis.weight, weight)


def test_scales_beyond_the_shortest_baseline_are_left_out(small_recording, small_vis, tmp_path):
    """A scale that the array cannot see would take any flux; asking for one must not spoil the image."""
    found = make(job(small_recording, small_vis, tmp_path, deconvolver="multiscale", scales_arcsec=(0.0, 60.0, 300.0)))
    assert np.isfinite(found.model).all()
    assert found.model.sum() == pytest.approx(1.4, rel=0.05)


@pytest.fixture(scope="module")
def fading(tmp_path_factory):
    """A source that fades from 1.3 to 0.7 Jy over the observation, as one that drifts out of the beam."""
    times = 2460700.5 + np.arange(12) * 300 / 86400
    share = np.linspace(1.3, 0.7, 12)[:, None, None] * np.ones((1, 1, 3))
    obs = Observation(
        random_array(20, 500.0),
        freq_hz=1.4e9 + 5e5 * np.arange(3),
        times_jd=times,
        sources=(Source(150.1, 34.1, 1.0),),
        noise_jy=0.01,
        attenuation=share,
    )
    recording = open_recording(write_ms(obs, tmp_path_factory.mktemp("fading") / "x.ms"))
    return recording, read_visibilities(recording, channel_average=1)


def test_model_that_follows_the_beam_reaches_the_noise(fading, tmp_path):
    recording, vis = fading
    factor = (vis.time_jd - vis.time_jd.mean()) / vis.time_jd.std()
    # 1 - 0.3 x with x from -1 to 1, in units of the standard deviation of x
    slope = np.full((308, 308), -0.3 * np.linspace(-1, 1, 12).std(), np.float32)
    term = Term(slope, factor[:, None].astype(np.float32))
    rms = {}
    for follow in (True, False):
        given = job(recording, vis, tmp_path, (term,), size=256, margin=26 / 256, follow_beam=follow, max_majors=8)
        found = make(given)
        rms[follow] = found.residual[inner_mask(308)].std() / thermal_rms(vis.weight, given.weight)
        assert found.model.sum() == pytest.approx(1.0, rel=0.01 if follow else 0.1)
    assert rms[True] < 1.3
    assert rms[False] > 2 * rms[True]


def test_scales_follow_the_fitted_beam(small_recording, small_vis, tmp_path):
    given = replace(job(small_recording, small_vis, tmp_path), fitted=Beam(36.0, 30.0, 0.0))
    assert given.scales_px == (0.0, 12.0, 24.0, 48.0)
    tiny = replace(given, params=ImageParams(cell_arcsec=6, size=40))
    assert tiny.scales_px == (0.0,)
