"""Tables of sources: names, units, what a reader gets back."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from skies import sin_wcs

from contimg.radio.catalog import read_ecsv, write_ecsv, write_fits
from contimg.radio.gaussians import Beam
from contimg_crossmatch.catalogs import Catalog
from contimg_crossmatch.finder import Flag, Source
from contimg_crossmatch.match import Matches, Photometry
from contimg_crossmatch.sky import Sky
from contimg_crossmatch.tables import _names, forced_table, source_table


@pytest.fixture
def sky():
    shape = (50, 60)
    wcs = sin_wcs(0.0, 33.0, 2.0, shape)
    gain = np.full(shape, 0.5, np.float32)
    flat = np.ones(shape, np.float32)
    return Sky(flat, flat, gain, np.ones((1, 1)), wcs, Beam(12, 8, 30), 2.0, 1.4e9)


def source(x, y, flux=1.0, flags=0):
    return Source(x, y, 0.1, 0.2, flux, 0.01, flux, 0.01, 0.01, 12.0, 8.0, 30.0, Flag(flags))


def catalog():
    one = np.ones(1)
    return Catalog(np.array(["c.csv"]), np.array(["3C 1"]), 0 * one, 33 * one, 4 * one)


def test_iau_names_and_letters_for_twins():
    assert _names(np.array([230.478958]), np.array([4.975222])) == ["J152154.95+045830.8"]
    assert _names(np.array([10.0, 10.0, 10.0]), np.array([-0.5] * 3)) == [
        "J004000.00-003000.0",
        "J004000.00-003000.0a",
        "J004000.00-003000.0b",
    ]


def test_errors_of_the_position_are_in_arcsec(sky):
    table = source_table(sky, [source(30, 20)], None, None)
    assert table["ra_err"][0] == 0.2 * u.arcsec
    assert table["dec_err"][0] == 0.4 * u.arcsec


def test_right_ascension_stays_within_the_circle(sky):
    table = source_table(sky, [source(20, 25), source(45, 25)], None, None)
    assert ((table["ra"] >= 0 * u.deg) & (table["ra"] < 360 * u.deg)).all()


def test_unmatched_rows_have_no_numbers_and_matched_ones_the_true_ratio(sky):
    matches = Matches(np.array([0, -1]), np.array([1.5, np.nan]))
    table = source_table(sky, [source(30, 25, 2.2), source(40, 25)], catalog(), matches)
    assert table["match"].tolist() == ["3C 1", ""]
    assert table["separation"][0] == 1.5 * u.arcsec
    assert table["flux_ratio"][0].value == pytest.approx(2.2 / 0.5 / 4.0)
    assert np.isnan(table["flux_ratio"][1].value)
    assert np.isnan(table["match_flux"][1].value)


def test_flags_are_described_by_their_bits(sky):
    table = source_table(sky, [source(30, 25, flags=Flag.BLENDED | Flag.RESOLVED)], None, None)
    assert table["flags"][0] == 9
    assert table["flags"].info.description == "bits: 1 blended, 2 no_fit, 4 edge, 8 resolved"


def test_no_sources_give_an_empty_table_with_all_columns(sky):
    empty, full = source_table(sky, [], None, None), source_table(sky, [source(1, 1)], None, None)
    assert len(empty) == 0
    assert empty.colnames == full.colnames
    assert [str(empty[name].unit) for name in empty.colnames] == [str(full[name].unit) for name in full.colnames]


def test_files_give_back_what_was_written(sky, tmp_path):
    photometry = Photometry(np.array([1.0]), np.array([0.1]), np.array([0.05]))
    forced = forced_table(catalog(), photometry, np.array([0.5]), np.array([True]))
    table = source_table(sky, [source(30, 25)], None, None)
    cards = {"PBCOR": False, "GROUPID": "g"}
    write_fits(tmp_path / "c.fits", {"SOURCES": table, "FORCED": forced}, cards)
    write_ecsv(tmp_path / "c.ecsv", table, cards)
    with fits.open(tmp_path / "c.fits", checksum=True) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SOURCES", "FORCED"]
        assert all(hdu.header["GROUPID"] == "g" for hdu in hdus)
        assert hdus["FORCED"].data["found"].tolist() == [True]
    again = read_ecsv(tmp_path / "c.ecsv")
    assert again.meta["PBCOR"] is False
    for name in ("ra", "flux", "major", "flags"):
        assert again[name][0] == table[name][0]
