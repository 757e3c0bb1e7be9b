"""Stage mosaic: the choice of the method, gates that pass and fail, products, headers."""

from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits
from skies import Sky, image_run, make_tile, sin_wcs

from contimg.errors import BadConfig, BadInput
from contimg.models.quality import Verdict
from contimg.stage import StageContext
from contimg_mosaic.params import MosaicOptions, MosaicParams
from contimg_mosaic.stage import MosaicStage

CELL, BEAM, SHAPE = 30.0, 120.0, (96, 96)
SKY = Sky(np.array([10.05]), np.array([33.02]), np.array([1.0]))


def runs_at(base, centres, *, beams=None, rms=1e-3, pb_fwhm=1.0, seed=5):
    rng = np.random.default_rng(seed)
    made = []
    for number, ra in enumerate(centres):
        beam = (beams or [BEAM] * len(centres))[number]
        wcs = sin_wcs(ra, 33.0, CELL, SHAPE)
        image, pb = make_tile(rng, SKY, wcs, SHAPE, rms=rms, beam_arcsec=beam, pb_fwhm_deg=pb_fwhm)
        made.append(image_run(base / f"t{number}", number, image, pb, wcs, rms=rms, beam_arcsec=beam))
    return made


def mosaic(tmp_path, runs, task="", expected=0, **params):
    work = tmp_path / "work"
    work.mkdir()
    context = StageContext(
        "g1",
        "g1",
        "2026-01-25",
        MosaicParams(**params),
        work,
        {"image": runs},
        task=task,
        options=MosaicOptions(expected=expected),
    )
    return MosaicStage().run(context), work


def figure(result, name):
    return next(f for f in result.figures if f.name == f"mosaic.{name}")


def test_one_pointing_is_a_coadd_and_not_corrected(tmp_path):
    result, work = mosaic(tmp_path, runs_at(tmp_path, [10.0, 10.0]))
    hdu = fits.open(work / "mosaic_g1_coadd.fits")[0]
    assert hdu.header["PBCOR"] is False
    assert {p.role for p in result.products} == {"", "weight", "noise", "png", "pb"}
    _, pb = make_tile(
        np.random.default_rng(0), SKY, sin_wcs(10.0, 33.0, CELL, SHAPE), SHAPE, rms=0, beam_arcsec=BEAM, pb_fwhm_deg=1.0
    )
    gain = pb[np.unravel_index(np.nanargmax(hdu.data), SHAPE)]
    assert figure(result, "peak").value == pytest.approx(gain, rel=0.02)
    np.testing.assert_allclose(fits.getdata(work / "mosaic_g1_coadd_pb.fits"), pb, atol=1e-6)


def test_coadd_is_the_weighted_mean_pixel_by_pixel(tmp_path):
    runs = [*runs_at(tmp_path / "a", [10.0]), *runs_at(tmp_path / "b", [10.0], rms=2e-3, seed=6)]
    _, work = mosaic(tmp_path, runs)
    first, second = (fits.getdata(run.path / "i.fits")[0, 0].astype(float) for run in runs)
    np.testing.assert_allclose(fits.getdata(work / "mosaic_g1_coadd.fits"), (4 * first + second) / 5, atol=2e-6)
    np.testing.assert_allclose(fits.getdata(work / "mosaic_g1_coadd_noise.fits"), 1e-3 / np.sqrt(1.25), rtol=1e-5)
    np.testing.assert_allclose(fits.getdata(work / "mosaic_g1_coadd_weight.fits"), 1.25e6, rtol=1e-5)


def test_apart_pointings_are_weighted_by_the_beam(tmp_path):
    result, work = mosaic(tmp_path, runs_at(tmp_path, [10.0, 10.4]))
    hdu = fits.open(work / "mosaic_g1_pbweight.fits")[0]
    assert hdu.header["PBCOR"] is True
    assert hdu.header["PBFLOOR"] == 0.2
    assert figure(result, "peak").value == pytest.approx(1.0, rel=0.02)
    assert np.isnan(hdu.data[0, 0])
    assert fits.getdata(work / "mosaic_g1_pbweight_weight.fits")[0, 0] == 0


def test_cards_of_the_contract(tmp_path):
    _, work = mosaic(tmp_path, runs_at(tmp_path, [10.0, 10.4]), task="f" * 32)
    for role, unit in (("", "Jy/beam"), ("_weight", "beam2/Jy2"), ("_noise", "Jy/beam")):
        header = fits.getheader(work / f"mosaic_g1_pbweight{role}.fits")
        assert header["BUNIT"] == unit
        cards = {"GROUPID": "g1", "RADESYS": "ICRS", "QAVERD": "pass", "BEAMMOD": "gaussian", "RECIPE": "f" * 32}
        assert {key: header[key] for key in cards} == cards
        assert header["BMAJ"] * 3600 == pytest.approx(BEAM)
        assert header["DATE-BEG"] == "2026-01-25T22:00:13.000"
        assert header["DATE-END"] == "2026-01-25T22:05:22.000"
        middle = datetime(2026, 1, 25, 22, 2, 47, 500000, tzinfo=UTC).timestamp() / 86400 + 40587
        assert header["MJD-AVG"] == pytest.approx(middle, abs=1e-6)
        assert header["FREQ"] == pytest.approx(1.405e9)


@pytest.mark.parametrize(("expected", "verdict"), [(2, "pass"), (3, "degraded"), (4, "degraded"), (5, "failed")])
def test_missing_members_degrade_and_less_than_half_fails(tmp_path, expected, verdict):
    result, _ = mosaic(tmp_path, runs_at(tmp_path, [10.0, 10.4]), expected=expected)
    assert figure(result, "members").verdict is Verdict(verdict)


@pytest.mark.parametrize(("second", "verdict"), [(1.99, Verdict.PASS), (2.01, Verdict.FAILED)])
def test_unlike_beams_fail(tmp_path, second, verdict):
    result, _ = mosaic(tmp_path, runs_at(tmp_path, [10.0, 10.4], beams=[BEAM, BEAM * second]))
    assert figure(result, "beam_difference").verdict is verdict
    assert figure(result, "beam_difference").value == pytest.approx(second - 1, rel=1e-4)


def test_pictures_and_figures_do_without_a_source(tmp_path):
    global_sky = Sky(np.empty(0), np.empty(0), np.empty(0))
    wcs = sin_wcs(10.0, 33.0, CELL, SHAPE)
    image, pb = make_tile(np.random.default_rng(2), global_sky, wcs, SHAPE, rms=1e-3, beam_arcsec=BEAM, pb_fwhm_deg=1.0)
    runs = [image_run(tmp_path / "t", 0, image, pb, wcs, rms=1e-3, beam_arcsec=BEAM)]
    result, work = mosaic(tmp_path, runs)
    assert figure(result, "peak").value is None
    assert figure(result, "peak").verdict is Verdict.PASS
    assert (work / "mosaic_g1_coadd.png").read_bytes().startswith(b"\x89PNG")


def test_no_image_is_named(tmp_path):
    with pytest.raises(BadInput, match="group g1 has no image"):
        mosaic(tmp_path, [])


def test_noise_that_is_no_number_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"noise of i\.fits is nan"):
        mosaic(tmp_path, runs_at(tmp_path, [10.0], rms=float("nan")))


def test_beam_of_another_size_is_named(tmp_path):
    runs = runs_at(tmp_path, [10.0])
    with fits.open(runs[0].path / "pb.fits", mode="update") as hdus:
        hdus[0].data = hdus[0].data[..., :50]
    with pytest.raises(BadInput, match=r"pb\.fits has \(96, 50\) pixels"):
        mosaic(tmp_path, runs, method="pbweight")


@pytest.mark.parametrize(
    ("card", "value", "words"), [("BMAJ", None, "no card BMAJ"), ("CTYPE1", "RA---TAN", "needs RA---SIN")]
)
def test_images_that_cannot_be_combined_are_named(tmp_path, card, value, words):
    runs = runs_at(tmp_path, [10.0])
    with fits.open(runs[0].path / "i.fits", mode="update") as hdus:
        if value is None:
            del hdus[0].header[card]
        else:
            hdus[0].header[card], hdus[0].header["CTYPE2"] = value, "DEC--TAN"
    with pytest.raises(BadInput, match=words):
        mosaic(tmp_path, runs)


def test_half_a_sky_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="form shorter groups"):
        mosaic(tmp_path, runs_at(tmp_path, [10.0, 100.0, 190.0]))


def test_beam_that_is_nowhere_good_is_named(tmp_path):
    runs = runs_at(tmp_path, [10.0, 10.4])
    for run in runs:
        with fits.open(run.path / "pb.fits", mode="update") as hdus:
            hdus[0].data *= 0.1
    with pytest.raises(BadInput, match=r"beam above 0\.2"):
        mosaic(tmp_path, runs, method="pbweight")
