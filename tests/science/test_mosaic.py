"""A mosaic of synthetic tiles against the analytic sky it was made of."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from skies import Sky, image_run, make_tile, sin_wcs

from contimg.stage import StageContext
from contimg_mosaic.params import MosaicOptions, MosaicParams
from contimg_mosaic.stage import MosaicStage

pytestmark = pytest.mark.science

CELL, SIZE, BEAM, PB = 20.0, 480, 80.0, 2.6
RMS = 1e-3
CENTRES = (358.2 + 1.1 * np.arange(5)) % 360  # the strip runs over RA 0
DEC = 33.0


@pytest.fixture(scope="module")
def strip(tmp_path_factory):
    rng = np.random.default_rng(7)
    ra = (np.linspace(357.4, 363.4, 14) + rng.uniform(-0.05, 0.05, 14)) % 360
    dec = DEC + np.tile([0.6, -0.5, 0.05], 5)[:14] + rng.uniform(-0.1, 0.1, 14)
    sky = Sky(ra, dec, rng.uniform(0.2, 0.6, 14))
    base = tmp_path_factory.mktemp("strip")
    runs, noises = [], RMS * np.array([1.0, 1.5, 0.8, 1.2, 1.0])
    for number, (centre, rms) in enumerate(zip(CENTRES, noises, strict=True)):
        wcs = sin_wcs(centre, DEC, CELL, (SIZE, SIZE))
        image, pb = make_tile(rng, sky, wcs, (SIZE, SIZE), rms=rms, beam_arcsec=BEAM, pb_fwhm_deg=PB)
        runs.append(image_run(base / f"t{number}", number, image, pb, wcs, rms=rms, beam_arcsec=BEAM))
    work = base / "work"
    work.mkdir()
    context = StageContext(
        unit="g1",
        group="g1",
        date="2026-01-25",
        params=MosaicParams(),
        workdir=work,
        inputs={"image": runs},
        options=MosaicOptions(),
    )
    return sky, MosaicStage().run(context), work


def opened(work, role):
    return fits.open(work / f"mosaic_g1_pbweight{role}.fits")[0]


def test_strip_over_ra_zero_is_as_wide_as_its_members(strip):
    _, result, work = strip
    hdu = opened(work, "")
    width = hdu.shape[1] * CELL / 3600
    assert width == pytest.approx(4.4 * np.cos(np.radians(DEC)) + SIZE * CELL / 3600, rel=0.03)
    assert result.info["method"] == "pbweight"


def test_fluxes_and_positions_are_those_of_the_sky(strip):
    sky, _, work = strip
    hdu, noise = opened(work, ""), opened(work, "_noise").data
    x, y = WCS(hdu.header).wcs_world2pix(sky.ra_deg, sky.dec_deg, 0)
    ratios, offsets = [], []
    for i, flux in enumerate(sky.flux_jy):
        px, py = round(float(x[i])), round(float(y[i]))
        cut = hdu.data[py - 3 : py + 4, px - 3 : px + 4].astype(float)
        yy, xx = np.mgrid[-3:4, -3:4]
        # moments of the log of a Gaussian: an estimate that shares nothing with the stage's fit
        use = cut > 0.3 * cut.max()
        terms = np.stack([np.ones(use.sum()), xx[use], yy[use], xx[use] ** 2 + yy[use] ** 2], 1)
        c = np.linalg.lstsq(terms * cut[use][:, None], np.log(cut[use]) * cut[use], rcond=None)[0]
        dx, dy = -c[1] / (2 * c[3]), -c[2] / (2 * c[3])
        peak = np.exp(c[0] - (c[1] ** 2 + c[2] ** 2) / (4 * c[3]))
        ratios.append(peak / flux)
        offsets.append((px + dx - x[i], py + dy - y[i]))
        assert abs(peak - flux) < 5 * noise[py, px] + 0.005 * flux
    assert np.median(ratios) == pytest.approx(1.0, abs=0.004)
    assert np.abs(np.median(offsets, axis=0)).max() * CELL < BEAM / 50


def test_noise_map_is_the_true_noise(strip):
    sky, result, work = strip
    hdu, noise = opened(work, ""), opened(work, "_noise").data
    x, y = WCS(hdu.header).wcs_world2pix(sky.ra_deg, sky.dec_deg, 0)
    yy, xx = np.mgrid[: hdu.shape[0], : hdu.shape[1]]
    empty = np.isfinite(hdu.data)
    for x0, y0 in zip(x, y, strict=True):
        empty &= np.hypot(xx - x0, yy - y0) > 4 * BEAM / CELL
    normal = hdu.data[empty] / noise[empty]
    assert normal.std() == pytest.approx(1.0, abs=0.05)
    figures = {f.name: f for f in result.figures}
    assert figures["mosaic.noise_ratio"].value == pytest.approx(1.0, abs=0.07)


def test_brightest_source_is_found_by_the_fit(strip):
    sky, result, _ = strip
    figures = {f.name: f.value for f in result.figures}
    best = int(np.argmax(sky.flux_jy))
    assert figures["mosaic.peak"] == pytest.approx(sky.flux_jy[best], rel=0.01)
    away = np.cos(np.radians(DEC)) * (figures["mosaic.peak_ra"] - sky.ra_deg[best])
    assert abs(away) * 3600 < 1.0
    assert abs(figures["mosaic.peak_dec"] - sky.dec_deg[best]) * 3600 < 1.0


def test_noise_free_resampling_is_exact_to_a_few_parts_in_a_thousand(tmp_path):
    """Against the analytic Gaussian on the mosaic's own pixels (the reference needs no resampling)."""
    rng = np.random.default_rng(1)
    sky = Sky(np.array([0.1, 359.6]), np.array([33.2, 32.7]), np.array([1.0, 0.5]))
    runs = []
    for number, centre in enumerate((359.5, 0.4)):
        wcs = sin_wcs(centre, DEC, CELL, (300, 300))
        image, pb = make_tile(rng, sky, wcs, (300, 300), rms=0, beam_arcsec=BEAM, pb_fwhm_deg=PB)
        runs.append(image_run(tmp_path / f"t{number}", number, image, pb, wcs, rms=RMS, beam_arcsec=BEAM))
    work = tmp_path / "w"
    work.mkdir()
    options = MosaicOptions()
    MosaicStage().run(StageContext("g1", "g1", "2026-01-25", MosaicParams(), work, {"image": runs}, options=options))
    hdu = fits.open(work / "mosaic_g1_pbweight.fits")[0]
    truth, _ = make_tile(rng, sky, WCS(hdu.header), hdu.shape, rms=0, beam_arcsec=BEAM, pb_fwhm_deg=1e6)
    inside = np.isfinite(hdu.data)
    # 3e-3 of the peak: the beam of a tile turns and stretches by cos(theta) on the common grid
    assert np.abs(hdu.data - truth)[inside].max() < 4e-3
