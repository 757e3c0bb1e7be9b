"""The one reader of catalogs, and the sentences for those that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table

from contimg.errors import BadConfig
from contimg.radio import catalog
from contimg.radio.catalog import Catalog
from contimg_solve.catalogs import read_sources


def table(**more):
    columns = {"name": ["a", "b"], "ra_deg": [359.9, -0.1], "dec_deg": [33.0, 34.0], "flux_jy": [1.0, 2.0]}
    return Table(columns | {"frequency_hz": [1.4e9, 0.7e9]} | more)


def test_units_are_converted(tmp_path):
    made = QTable(table())
    made["flux_jy"] = [1000.0, 2000.0] * u.mJy
    made["frequency_hz"] = [1400.0, 1400.0] * u.MHz
    made.write(tmp_path / "c.fits")
    assert catalog.read(tmp_path / "c.fits").flux_jy.tolist() == pytest.approx([1.0, 2.0])


def test_rows_without_a_number_are_left_out(tmp_path):
    made = Table(table(), masked=True)
    made["flux_jy"].mask = [True, False]
    made.write(tmp_path / "c.ecsv")
    assert catalog.read(tmp_path / "c.ecsv").name.tolist() == ["b"]


def test_missing_column_is_named(tmp_path):
    made = table()
    made.remove_column("frequency_hz")
    made.write(tmp_path / "c.csv")
    with pytest.raises(BadConfig, match=r"catalog .*c\.csv has no column 'frequency_hz'"):
        catalog.read(tmp_path / "c.csv")


def test_column_of_words_is_named(tmp_path):
    table(flux_jy=["bright", "faint"]).write(tmp_path / "c.csv")
    with pytest.raises(BadConfig, match=r"c\.csv, column 'flux_jy'"):
        catalog.read(tmp_path / "c.csv")


@pytest.mark.parametrize("content", [b"", b"\0\1\2 not a table", b"SIMPLE  =    T"])
def test_file_that_is_no_table_is_named(tmp_path, content):
    (tmp_path / "c.fits").write_bytes(content)
    with pytest.raises(BadConfig, match=r"catalog .*c\.fits cannot be read as a table"):
        catalog.read(tmp_path / "c.fits")


@pytest.mark.parametrize(
    ("column", "value"), [("flux_jy", 0.0), ("flux_jy", -1.0), ("frequency_hz", 0.0), ("dec_deg", np.inf)]
)
def test_a_source_that_cannot_be_used_is_left_out(tmp_path, column, value):
    """One rule for all stages; once crossmatch kept what solve left out."""
    table(**{column: [value, 3.0]}).write(tmp_path / "c.ecsv")
    assert catalog.read(tmp_path / "c.ecsv").name.tolist() == ["b"]


def test_solve_honours_the_units_too(tmp_path):
    """Once only crossmatch did: 1000 mJy were 1000 Jy for the solver."""
    made = QTable(table())
    made["flux_jy"] = [1000.0, 2000.0] * u.mJy
    made.write(tmp_path / "c.fits")
    assert read_sources({"catalog:c": tmp_path / "c.fits"}, -0.7).flux_jy.tolist() == pytest.approx([1.0, 2.0])


def test_unit_of_something_else_is_named(tmp_path):
    made = QTable(table())
    made["flux_jy"] = [1.0, 2.0] * u.m
    made.write(tmp_path / "c.fits")
    with pytest.raises(BadConfig, match=r"column 'flux_jy' holds [<>]?f\w+ in m, not numbers in Jy"):
        catalog.read(tmp_path / "c.fits")


def test_what_is_written_is_read_back(tmp_path):
    made = Catalog(np.array(["a", "b"]), *(np.array([1.0, 2.0]) + k for k in range(4)), np.array([np.nan, -0.7]))
    catalog.write(tmp_path / "c.ecsv", made)
    found = catalog.read(tmp_path / "c.ecsv")
    for name, values in vars(made).items():
        assert np.array_equal(getattr(found, name), values, equal_nan=name == "spectral_index")
    assert found.indices(-0.1).tolist() == [-0.1, -0.7]
