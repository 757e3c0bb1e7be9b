"""The backends that call other programs: what they are told, and what happens when they fail."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contimg.errors import BadConfig, Terminal
from contimg.radio.gaussians import Beam
from contimg_image import tclean, wsclean
from contimg_image.backends import make
from contimg_image.deconvolve import mad_rms
from contimg_image.job import Job
from contimg_image.params import ImageParams
from contimg_image.primary import PrimaryBeam
from contimg_image.weighting import imaging_weights


def job(small_recording, small_vis, scratch, **params):
    chosen = ImageParams(cell_arcsec=6, size=301, robust=0.5, **params)
    weight = imaging_weights(small_vis, 301, np.radians(6 / 3600), "briggs", 0.5)
    whole = PrimaryBeam(np.ones((301, 301), np.float32), ())
    return Job(small_recording, small_vis, weight, Beam(48.0, 30.0, 0.0), whole, chosen, scratch)


def test_scales_follow_the_beam_and_fit_the_image(small_recording, small_vis, tmp_path):
    assert job(small_recording, small_vis, tmp_path).scales_px == (0.0, 16.0, 32.0)
    own = job(small_recording, small_vis, tmp_path, scales_arcsec=(60.0, 0.0))
    assert own.scales_px == (0.0, 10.0)


def test_wsclean_is_told_every_parameter(small_recording, small_vis, tmp_path):
    given = job(small_recording, small_vis, tmp_path, threshold_jy=0.01, deconvolver="multiscale", max_iterations=77)
    line = " ".join(wsclean.command(given, Path("x.ms"), Path("p")))
    for words in (
        "-size 302 302",
        "-scale 6asec",
        "-weight briggs 0.5",
        "-niter 77",
        "-auto-mask 5",
        "-auto-threshold 1",
        "-threshold 0.01",
        "-gain 0.1",
        "-mgain 0.85",
        "-nmiter 15",
        "-use-wgridder",
        "-multiscale-scales 0,16,32",
        "-no-update-model-required",
    ):
        assert words in line
    assert line.endswith("x.ms")
    natural = job(small_recording, small_vis, tmp_path, weighting="natural", auto_mask_sigma=0)
    line = " ".join(wsclean.command(natural, Path("x.ms"), Path("p")))
    assert "-weight natural" in line
    assert "-auto-mask" not in line


def test_missing_program_says_how_to_get_it(small_recording, small_vis, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadConfig, match="apt-get install wsclean"):
        make(job(small_recording, small_vis, tmp_path, backend="wsclean"))


def test_failing_program_ends_the_attempt_with_its_words(small_recording, small_vis, tmp_path, monkeypatch):
    bad = tmp_path / "wsclean"
    bad.write_text("#!/bin/sh\necho '+ >>> no such column'\necho '+ + +'\nexit 3\n")
    bad.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(Terminal, match=r"code 3.*no such column"):
        make(job(small_recording, small_vis, tmp_path, backend="wsclean"))


@pytest.mark.skipif(shutil.which("wsclean") is None, reason="Debian package wsclean is not installed")
def test_wsclean_makes_an_image_of_odd_size(small_recording, small_vis, tmp_path):
    seen = []
    given = job(small_recording, small_vis, tmp_path, backend="wsclean")
    found = make(replace(given, report=lambda *words: seen.append(words)))
    assert found.residual.shape == found.model.shape == (301, 301)
    assert found.psf[150, 150] == pytest.approx(1.0, abs=1e-3)
    assert found.model.sum() == pytest.approx(1.4, rel=0.03)
    assert mad_rms(found.residual) < 0.01
    assert found.majors == len(seen) >= 1
    assert found.iterations > 10
    assert found.notes["wsclean"].startswith("WSClean version")


def test_tclean_is_told_every_parameter(small_recording, small_vis, tmp_path):
    given = job(small_recording, small_vis, tmp_path, threshold_jy=0.01, deconvolver="multiscale", max_iterations=77)
    words = tclean.arguments(given, Path("x.ms"), Path("p"))
    assert (words["imsize"], words["cell"], words["weighting"], words["robust"]) == (301, "6arcsec", "briggs", 0.5)
    assert (words["niter"], words["threshold"], words["nsigma"], words["gain"]) == (77, "0.01Jy", 1.0, 0.1)
    assert (words["gridder"], words["scales"], words["noisethreshold"]) == ("wproject", [0, 16, 32], 5.0)
    plain = tclean.arguments(job(small_recording, small_vis, tmp_path, auto_mask_sigma=0), Path("x.ms"), Path("p"))
    assert "usemask" not in plain
    assert plain["deconvolver"] == "clark"
