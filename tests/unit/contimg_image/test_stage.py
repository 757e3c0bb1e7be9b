from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits

from contimg.errors import BadConfig, BadInput
from contimg.models.manifest import Manifest, Product
from contimg.models.quality import Verdict
from contimg.stage import Run, StageContext
from contimg_image.params import ImageParams
from contimg_image.stage import ImageStage

UNIT = "2026-01-25T22:26:00"
STEM = f"{UNIT}_c6as_n300_r0.0_I"


def imaged(ms, workdir, **params):
    now = datetime.now(UTC)
    product = Product(type="calibrated_ms", id="x", path=ms.name)
    manifest = Manifest(
        task="0" * 32, stage="apply", recipe_version=1, version="1", unit=UNIT, group="g", date=UNIT[:10], params={},
        products=(product,), attempt=1, host="h", started=now, finished=now,
    )  # fmt: skip
    workdir.mkdir(exist_ok=True)
    chosen = ImageParams(**({"cell_arcsec": 6, "size": 300, "channel_average": 1} | params))
    inputs = {"calibrated_ms": [Run(ms.parent, manifest)]}
    context = StageContext(UNIT, "g-1", UNIT[:10], chosen, workdir, inputs, task="f" * 32)
    return ImageStage().run(context)


@pytest.fixture(scope="module")
def result(small_ms, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    return workdir, imaged(small_ms, workdir, pb_floor=0.3)


def test_products_are_those_of_the_contract(result):
    workdir, made = result
    roles = {each.role: each for each in made.products}
    assert set(roles) == {"", "fits", "pbcor", "residual", "model", "psf", "pb", "png"}
    assert roles[""].path == f"{STEM}.image"
    assert roles["fits"].names == (f"2026-01-25/{STEM}.fits",)
    assert roles["residual"].path == f"{STEM}_residual.fits"
    assert all((workdir / each.path).exists() for each in made.products)
    assert {path.name for path in workdir.iterdir()} == {each.path for each in made.products}


def test_figures_and_info_tell_what_was_measured(result):
    _, made = result
    figures = {each.name: each for each in made.figures}
    assert figures["image.rms_mad"].value == pytest.approx(figures["image.thermal_rms"].value, rel=0.25)
    assert figures["image.dynamic_range"].verdict is Verdict.PASS
    assert figures["image.dynamic_range"].limit == "degraded < 100, failed < 30"
    assert figures["image.peak"].value == pytest.approx(1.0, rel=0.1)
    assert made.info["beam"]["major_arcsec"] == figures["image.beam_major"].value
    assert (made.info["tag"], made.info["ended"]) == ("c6as_n300_r0.0_I", "threshold")
    assert made.info["ra_deg"] == pytest.approx(150.0)


def test_images_belong_together(result):
    workdir, _ = result
    kinds = ("", "_pbcor", "_pb", "_residual", "_model")
    read = {kind: fits.getdata(workdir / f"{STEM}{kind}.fits")[0, 0] for kind in kinds}
    blank = read["_pb"] < 0.3
    assert np.array_equal(np.isnan(read["_pbcor"]), blank)
    assert 0 < blank.sum() < blank.size
    assert read["_pbcor"][~blank] == pytest.approx((read[""] / read["_pb"])[~blank], rel=1e-5)
    assert (read[""] - read["_residual"]).max() == pytest.approx(1.0, rel=0.1)
    header = fits.getheader(workdir / f"{STEM}.fits")
    assert (header["GROUPID"], header["RECIPE"], header["QAVERD"]) == ("g-1", "f" * 32, "pass")
    assert header["BEAMMOD"] == "airy"


def test_given_beam_is_used_and_low_dynamic_range_degrades(small_ms, tmp_path):
    made = imaged(small_ms, tmp_path / "w", restoring_beam_arcsec=60.0, degraded_dynamic_range=1e6, max_iterations=50)
    figures = {each.name: each for each in made.figures}
    assert (figures["image.beam_major"].value, figures["image.beam_minor"].value) == (60.0, 60.0)
    assert figures["image.dynamic_range"].verdict is Verdict.DEGRADED
    assert made.info["ended"] == "iterations"


def test_a_source_reads_the_same_cleaned_or_not(small_ms, tmp_path):
    """PSF of 45 by 38 arcsec, beam of 70: without a residual of the same beam the dirty image reads 30 % low."""
    peaks = {}
    for iterations in (0, 2000):
        made = imaged(small_ms, tmp_path / str(iterations), restoring_beam_arcsec=70.0, max_iterations=iterations)
        peaks[iterations] = next(each.value for each in made.figures if each.name == "image.peak")
    assert peaks[0] == pytest.approx(peaks[2000], rel=0.03)


def test_sources_just_outside_are_cleaned_in_the_frame(small_ms, tmp_path):
    """The source in the north-east lies 99 pixels from the centre: outside a half-width of 90, inside 108."""
    rms = {}
    for margin in (0.0, 0.2):
        made = imaged(small_ms, tmp_path / str(margin), size=180, margin=margin)
        rms[margin] = next(each.value for each in made.figures if each.name == "image.rms_mad")
        image = fits.getdata(tmp_path / str(margin) / f"{UNIT}_c6as_n180_r0.0_I.fits")
        assert image.shape == (1, 1, 180, 180)
    assert rms[0.2] < 0.2 * rms[0.0]


def test_errors_leave_no_scratch(small_ms, tmp_path):
    with pytest.raises(BadConfig, match="leaves the 3 channels"):
        imaged(small_ms, tmp_path / "w", channels="0~9")
    assert not list((tmp_path / "w").iterdir())
    with pytest.raises(BadInput, match=r"no measurement set"):
        imaged(small_ms / "ANTENNA" / "x", tmp_path / "v")
