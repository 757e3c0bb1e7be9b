"""Stage crossmatch: figures and gates, tables with units, apparent fluxes of a co-add, blends, no catalog."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from skies import Sky, beam_noise, make_tile, manifest, sin_wcs, tile_pb

from contimg.errors import BadInput
from contimg.models.manifest import Product
from contimg.models.quality import Verdict
from contimg.stage import Run, StageContext
from contimg_crossmatch.params import CrossmatchParams
from contimg_crossmatch.stage import NO_CATALOG, CrossmatchStage

CELL, SIZE, BEAM, RMS = 4.0, 300, 20.0, 1e-3
WCS = sin_wcs(0.0, 33.0, CELL, (SIZE, SIZE))


def mosaic_run(base, image, *, pb=None):
    base.mkdir(parents=True)
    header = WCS.to_header()
    header["BMAJ"] = header["BMIN"] = BEAM / 3600
    header["BPA"], header["PBCOR"], header["GROUPID"], header["DATE-BEG"] = 0.0, pb is None, "g1", "2026-01-25"
    files = {"": image, "noise": np.full((SIZE, SIZE), RMS)} | ({} if pb is None else {"pb": pb})
    products = []
    for role, data in files.items():
        fits.PrimaryHDU(data.astype(np.float32), header).writeto(base / f"m{role}.fits")
        products.append(Product(type="mosaic", id="m", path=f"m{role}.fits", role=role))
    return Run(base, manifest("a" * 32, "mosaic", products, {"mosaic": "mosaic_g1", "freq_hz": 1.4e9}))


def grid_of(count, flux):
    side = int(np.ceil(np.sqrt(count)))
    x, y = (grid.ravel()[:count] for grid in np.meshgrid(*[np.linspace(40, SIZE - 40, side) + 0.3] * 2))
    ra, dec = WCS.wcs_pix2world(x, y, 0)
    return Sky(ra % 360, dec, np.full(count, flux))


def image_of(sky, seed=1, pb=1e9):
    rng = np.random.default_rng(seed)
    image, _ = make_tile(rng, sky, WCS, (SIZE, SIZE), rms=0, beam_arcsec=BEAM, pb_fwhm_deg=pb)
    return image + beam_noise(rng, (SIZE, SIZE), RMS, BEAM / CELL)


def crossmatch(base, image, catalog=None, pb=None, **params):
    run = mosaic_run(base / "run", image, pb=pb)
    reference = {}
    if catalog is not None:
        names = [f"s{i}" for i in range(len(catalog.ra_deg))]
        columns = {"name": names, "ra_deg": catalog.ra_deg, "dec_deg": catalog.dec_deg, "flux_jy": catalog.flux_jy}
        Table(columns | {"frequency_hz": np.full(len(names), 1.4e9)}).write(base / "c.csv")
        reference = {"catalog:c.csv": base / "c.csv", "flags:2026-01-25": base / "none"}
    work = base / "work"
    work.mkdir()
    context = StageContext(
        "g1", "g1", "2026-01-25", CrossmatchParams(**params), work, {"mosaic": [run]}, reference=reference
    )
    result = CrossmatchStage().run(context)
    return {f.name.split(".")[1]: f for f in result.figures}, result, work


def shifted(sky, *, flux=1.0, north=0.0):
    return Sky(sky.ra_deg, sky.dec_deg - north / 3600, sky.flux_jy / flux)


@pytest.fixture(scope="module")
def field():
    sky = grid_of(16, 0.1)
    return sky, image_of(sky)


def test_true_catalog_passes_every_gate(tmp_path, field):
    sky, image = field
    figures, result, _ = crossmatch(tmp_path, image, sky)
    assert {f.verdict for f in figures.values()} == {Verdict.PASS}
    assert (figures["sources"].value, figures["matched"].value, figures["anchors"].value) == (16, 16, 16)
    assert figures["completeness"].value == 1.0
    assert result.info["note"] == ""


@pytest.mark.parametrize(
    ("scale", "verdict"), [(1.05, "pass"), (1.12, "degraded"), (0.88, "degraded"), (1.3, "failed"), (0.7, "failed")]
)
def test_gate_of_the_flux_ratio(tmp_path, field, scale, verdict):
    sky, image = field
    figures, _, _ = crossmatch(tmp_path, image, shifted(sky, flux=scale))
    assert figures["flux_ratio"].value == pytest.approx(scale, rel=0.02)
    assert figures["flux_ratio"].verdict is Verdict(verdict)


@pytest.mark.parametrize(("north", "verdict"), [(1.5, "pass"), (3.0, "degraded"), (6.0, "failed")])
def test_gate_of_the_offset_and_its_sign(tmp_path, field, north, verdict):
    sky, image = field
    figures, _, _ = crossmatch(tmp_path, image, shifted(sky, north=north))
    assert figures["offset_dec"].value == pytest.approx(north, abs=0.15)
    assert figures["offset_ra"].value == pytest.approx(0.0, abs=0.15)
    assert figures["offset"].verdict is Verdict(verdict)


def test_gates_of_anchors_and_completeness(tmp_path, field):
    sky, image = field
    ghosts = Sky(sky.ra_deg, sky.dec_deg + 60 / 3600, sky.flux_jy)
    both = Sky(*(np.concatenate([a[:9], b]) for a, b in zip(vars(sky).values(), vars(ghosts).values(), strict=True)))
    figures, _, _ = crossmatch(tmp_path, image, both)
    assert (figures["anchors"].value, figures["anchors"].verdict) == (9, Verdict.DEGRADED)
    assert figures["completeness"].value == pytest.approx(9 / 25)
    assert figures["completeness"].verdict is Verdict.DEGRADED


def test_no_catalog_is_said_in_words_and_judges_nothing(tmp_path, field):
    figures, result, work = crossmatch(tmp_path, field[1])
    assert result.info["note"] == NO_CATALOG
    assert list(figures) == ["sources"]
    assert figures["sources"].verdict is Verdict.PASS
    with fits.open(work / "catalog_mosaic_g1.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SOURCES"]


def test_catalog_elsewhere_matches_nothing_and_is_degraded(tmp_path, field):
    far = Sky(np.array([200.0]), np.array([-33.0]), np.array([1.0]))
    figures, _, _ = crossmatch(tmp_path, field[1], far)
    assert figures["flux_ratio"].value is None
    assert figures["flux_ratio"].verdict is Verdict.DEGRADED


def test_empty_field_gives_an_empty_catalog(tmp_path, field):
    empty = Sky(np.empty(0), np.empty(0), np.empty(0))
    figures, _, work = crossmatch(tmp_path, image_of(empty), field[0])
    table = QTable.read(work / "catalog_mosaic_g1.ecsv", format="ascii.ecsv")
    assert len(table) == figures["sources"].value
    assert len(table) <= 1
    assert figures["completeness"].value == 0.0


def test_columns_have_units_and_descriptions_in_both_files(tmp_path, field):
    _, _, work = crossmatch(tmp_path, field[1], field[0])
    ecsv = QTable.read(work / "catalog_mosaic_g1.ecsv", format="ascii.ecsv")
    table = QTable.read(work / "catalog_mosaic_g1.fits", hdu="SOURCES")
    assert table.colnames == ecsv.colnames
    wanted = {
        "id",
        "ra",
        "dec",
        "peak",
        "flux",
        "flux_err",
        "rms",
        "major",
        "minor",
        "pa",
        "flags",
        "match",
        "separation",
    }
    assert wanted < set(table.colnames)
    assert all(ecsv[name].info.description for name in ecsv.colnames)
    units = {name: str(ecsv[name].unit) for name in ("ra", "peak", "flux", "major", "pa")}
    assert units == {"ra": "deg", "peak": "Jy / beam", "flux": "Jy", "major": "arcsec", "pa": "deg"}
    with fits.open(work / "catalog_mosaic_g1.fits") as hdus:
        header = hdus["SOURCES"].header
        assert header["TCOMM2"] == "right ascension, ICRS"
        assert (hdus[0].header["PBCOR"], header["CATVER"], header["QAVERD"]) == (True, "c.csv", "pass")
        assert len(hdus["FORCED"].data) == 16
    assert len(set(table["id"])) == 16
    assert all(name.startswith("J") for name in table["id"])


def test_coadd_is_compared_through_its_beam(tmp_path, field):
    """Fluxes of an uncorrected mosaic stay apparent; the comparison with the catalog uses the beam."""
    sky = field[0]
    pb = tile_pb(WCS, (SIZE, SIZE), 0.4)
    figures, _, work = crossmatch(tmp_path, image_of(sky, pb=0.4), sky, pb=pb)
    table = QTable.read(work / "catalog_mosaic_g1.fits", hdu="SOURCES")
    assert figures["flux_ratio"].value == pytest.approx(1.0, abs=0.02)
    assert table["beam_gain"].min() < 0.7
    assert np.median(table["flux"].value / table["beam_gain"].value) == pytest.approx(0.1, rel=0.02)
    assert table["flux"].value.min() < 0.08
    with fits.open(work / "catalog_mosaic_g1.fits") as hdus:
        assert hdus["SOURCES"].header["PBCOR"] is False


def test_blend_is_flagged_and_its_fluxes_are_disentangled(tmp_path):
    x, y = np.array([150.2, 150.2 + 1.7 * BEAM / CELL]), np.array([150.4, 150.4])
    ra, dec = WCS.wcs_pix2world(x, y, 0)
    sky = Sky(ra % 360, dec, np.array([0.2, 0.1]))
    _, _, work = crossmatch(tmp_path, image_of(sky), sky)
    table = QTable.read(work / "catalog_mosaic_g1.fits", hdu="SOURCES")
    assert len(table) == 2
    assert (table["flags"] & 1).all()
    assert sorted(table["flux"].value) == pytest.approx([0.1, 0.2], rel=0.04)


def test_source_at_the_edge_is_flagged(tmp_path):
    ra, dec = WCS.wcs_pix2world([60.0], [150.0], 0)
    image = image_of(Sky(ra % 360, dec, np.array([0.2])))
    image[:, :58] = np.nan
    _, _, work = crossmatch(tmp_path, image)
    table = QTable.read(work / "catalog_mosaic_g1.fits", hdu="SOURCES")
    assert len(table) == 1
    assert table["flags"][0] & 4


def test_two_mosaics_are_refused(tmp_path, field):
    run = mosaic_run(tmp_path / "run", field[1])
    context = StageContext("g1", "g1", "2026-01-25", CrossmatchParams(), tmp_path, {"mosaic": [run, run]})
    with pytest.raises(BadInput, match="2 inputs of type mosaic"):
        CrossmatchStage().run(context)
