"""The gate of stage image at its limits: what is measured decides, and what was not measured does not pass."""

from __future__ import annotations

import numpy as np
import pytest

from contimg.models.quality import Verdict
from contimg.radio.gaussians import Beam
from contimg_image.deconvolve import Cleaned
from contimg_image.params import ImageParams
from contimg_image.stage import _figures


def figures(dynamic_range, **params):
    blank = np.zeros((4, 4), np.float32)
    measured = {"rms": 1e-3, "rms_mad": 1e-3, "thermal_rms": 1e-3, "peak": 0.1, "dynamic_range": dynamic_range}
    cleaned = Cleaned(blank, blank, blank, 10, 2, "threshold")
    made = _figures(ImageParams(**params), measured, Beam(30.0, 20.0, 5.0), cleaned)
    return {figure.name: figure for figure in made}


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (1000.0, Verdict.PASS),
        (100.0, Verdict.PASS),
        (99.9, Verdict.DEGRADED),
        (30.0, Verdict.DEGRADED),
        (29.9, Verdict.FAILED),
        (0.0, Verdict.FAILED),
        (float("nan"), Verdict.DEGRADED),
        (float("inf"), Verdict.DEGRADED),
    ],
)
def test_dynamic_range(value, verdict):
    found = figures(value)["image.dynamic_range"]
    assert found.verdict is verdict
    assert found.limit == "degraded < 100, failed < 30"


def test_limits_are_parameters():
    assert figures(60.0, degraded_dynamic_range=50.0)["image.dynamic_range"].verdict is Verdict.PASS
    assert figures(60.0, failed_dynamic_range=70.0)["image.dynamic_range"].verdict is Verdict.FAILED


def test_all_else_is_only_told():
    others = [figure for name, figure in figures(1.0).items() if name != "image.dynamic_range"]
    assert all(figure.limit == "" and figure.verdict is Verdict.PASS for figure in others)
    assert {f.name: f.unit for f in others if f.unit == "arcsec"} == {
        f"image.{name}": "arcsec" for name in ("beam_major", "beam_minor")}  # fmt: skip
