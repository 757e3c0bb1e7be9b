"""Source finding on skies with known sources: fluxes without bias, errors that are honest, matches that are right."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from skies import Sky, beam_noise, make_tile, manifest, sin_wcs, write_fits

from contimg.models.manifest import Product
from contimg.stage import Run, StageContext
from contimg_crossmatch.params import CrossmatchParams
from contimg_crossmatch.stage import NO_CATALOG, CrossmatchStage

pytestmark = pytest.mark.science

CELL, SIZE, BEAM, RMS = 3.0, 1200, 15.0, 1e-3


def scattered(rng, count, low, high):
    """Sources on a jittered grid: isolated, at random sub-pixel positions."""
    side = int(np.ceil(np.sqrt(count)))
    step = (SIZE - 80) / side
    gy, gx = np.mgrid[:side, :side]
    x = (40 + step * (gx + rng.uniform(0.2, 0.8, gx.shape))).ravel()[:count]
    y = (40 + step * (gy + rng.uniform(0.2, 0.8, gy.shape))).ravel()[:count]
    flux = np.exp(rng.uniform(np.log(low), np.log(high), count))
    return x, y, flux


def mosaic_run(directory, image, noise, wcs):
    directory.mkdir(parents=True)
    write_fits(directory / "m.fits", image, wcs, BEAM)
    write_fits(directory / "n.fits", noise, wcs, BEAM)
    for name in ("m.fits", "n.fits"):
        with fits.open(directory / name, mode="update") as hdus:
            hdus[0].data = hdus[0].data[0, 0]
            for card in [c for c in hdus[0].header if c[-1] in "34" or c == "WCSAXES"]:
                del hdus[0].header[card]
            hdus[0].header["PBCOR"] = True
    products = [
        Product(type="mosaic", id="mosaic_g1_pbweight", path="m.fits"),
        Product(type="mosaic", id="mosaic_g1_pbweight", path="n.fits", role="noise"),
    ]
    return Run(directory, manifest("a" * 32, "mosaic", products, {"mosaic": "mosaic_g1_pbweight", "freq_hz": 1.4e9}))


def crossmatch(base, run, reference=None, **params):
    work = base / "work"
    work.mkdir()
    context = StageContext(
        "g1", "g1", "2026-01-25", CrossmatchParams(**params), work, {"mosaic": [run]}, reference=reference or {}
    )
    return CrossmatchStage().run(context), work


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    rng = np.random.default_rng(11)
    base = tmp_path_factory.mktemp("field")
    wcs = sin_wcs(0.02, 33.0, CELL, (SIZE, SIZE))
    x, y, flux = scattered(rng, 400, 20 * RMS, 400 * RMS)
    ra, dec = wcs.wcs_pix2world(x, y, 0)
    # noise that grows by half from left to right
    noise = RMS * (1 + 0.5 * np.linspace(0, 1, SIZE))[None, :] * np.ones((SIZE, 1))
    image, _ = make_tile(rng, Sky(ra, dec, flux), wcs, (SIZE, SIZE), rms=0, beam_arcsec=BEAM, pb_fwhm_deg=1e9)
    image = image + beam_noise(rng, (SIZE, SIZE), 1.0, BEAM / CELL) * noise
    table = Table({"name": [f"s{i}" for i in range(400)], "ra_deg": ra % 360, "dec_deg": dec, "flux_jy": flux})
    table["frequency_hz"] = 1.4e9
    table.write(base / "truth.csv")
    result, work = crossmatch(
        base, mosaic_run(base / "run", image, noise, wcs), {"catalog:truth.csv": base / "truth.csv"}
    )
    return table, result, QTable.read(work / "catalog_mosaic_g1_pbweight.fits", hdu="SOURCES"), work


def paired(field):
    truth, _, found, _ = field
    row = {name: i for i, name in enumerate(truth["name"])}
    found = found[found["match"] != ""]
    return truth[[row[name] for name in found["match"]]], found


def test_every_bright_source_is_found_once_and_nothing_else(field):
    truth, result, found, _ = field
    assert len(set(found["match"]) - {""}) == len(truth)
    # 5 sigma of Gaussian noise with 55 000 beams: 0.03 false sources expected
    assert (found["match"] == "").sum() <= 1
    assert {f.name: f.value for f in result.figures}["crossmatch.completeness"] == 1.0


def test_fluxes_are_unbiased_and_errors_honest(field):
    truth, found = paired(field)
    flux, error = found["flux"].to_value("Jy"), found["flux_err"].to_value("Jy")
    assert np.median(flux / truth["flux_jy"]) == pytest.approx(1.0, abs=0.005)
    pull = (flux - truth["flux_jy"]) / error
    assert abs(np.mean(pull)) < 4 / np.sqrt(len(pull))
    assert 1.4826 * np.median(np.abs(pull - np.median(pull))) == pytest.approx(1.0, abs=0.1)
    assert np.std(pull) == pytest.approx(1.0, abs=0.12)


def test_peaks_and_positions_have_honest_errors(field):
    truth, found = paired(field)
    peak = (found["peak"].value - truth["flux_jy"]) / found["peak_err"].value
    east = (found["ra"].value - truth["ra_deg"] + 180) % 360 - 180
    ra = east * np.cos(np.radians(truth["dec_deg"])) * 3600 / found["ra_err"].value
    dec = (found["dec"].value - truth["dec_deg"]) * 3600 / found["dec_err"].value
    for pull in (peak, ra, dec):
        assert abs(np.median(pull)) < 0.2
        assert np.std(pull) == pytest.approx(1.0, abs=0.12)


def test_forced_photometry_has_honest_errors(field):
    truth, _, _, work = field
    forced = QTable.read(work / "catalog_mosaic_g1_pbweight.fits", hdu="FORCED")
    pull = (forced["flux"].value - forced["catalog_flux"].value) / forced["flux_err"].value
    assert len(forced) == len(truth)
    assert np.std(pull) == pytest.approx(1.0, abs=0.12)


def test_point_sources_are_not_called_resolved(field):
    _, found = paired(field)
    assert ((found["flags"] & 8) > 0).mean() < 0.02


def test_resolved_source_gets_its_integrated_flux(tmp_path):
    rng = np.random.default_rng(3)
    wcs = sin_wcs(10.0, 33.0, CELL, (256, 256))
    y, x = np.mgrid[:256, :256]
    sigma = np.hypot(BEAM, 12.0) / 2.354820045 / CELL
    image = 0.2 * np.exp(-((x - 130.3) ** 2 + (y - 120.8) ** 2) / (2 * sigma**2))
    image += beam_noise(rng, (256, 256), RMS, 5.0)
    result, work = crossmatch(tmp_path, mosaic_run(tmp_path / "r", image, np.full((256, 256), RMS), wcs))
    row = QTable.read(work / "catalog_mosaic_g1_pbweight.ecsv", format="ascii.ecsv")[0]
    truth = 0.2 * (np.hypot(BEAM, 12.0) / BEAM) ** 2
    assert row["flags"] & 8
    assert abs(row["flux"].value - truth) < 4 * row["flux_err"].value
    assert row["major"].value == pytest.approx(np.hypot(BEAM, 12.0), rel=0.03)
    assert result.info["note"] == NO_CATALOG
