"""Reference catalogs in every form, and the sentences for those that are wrong."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, Table

from contimg.errors import BadConfig
from contimg_crossmatch.catalogs import join, read_catalog


def table(**more):
    columns = {"name": ["a", "b"], "ra_deg": [359.9, -0.1], "dec_deg": [33.0, 34.0], "flux_jy": [1.0, 2.0]}
    return Table(columns | {"frequency_hz": [1.4e9, 0.7e9]} | more)


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits", "vot"])
def test_every_form_reads_the_same(tmp_path, suffix):
    path = tmp_path / f"c.{suffix}"
    table().write(path, **({"format": "votable"} if suffix == "vot" else {}))
    read = read_catalog(path, 1.4e9, -0.7)
    assert read.name.tolist() == ["a", "b"]
    assert read.ra_deg.tolist() == pytest.approx([359.9, 359.9])
    assert read.flux_jy.tolist() == pytest.approx([1.0, 2.0 * 2**-0.7])
    assert set(read.file) == {f"c.{suffix}"}


def test_own_spectral_index_wins_and_a_missing_one_falls_back(tmp_path):
    table(spectral_index=[0.0, np.nan]).write(tmp_path / "c.ecsv")
    read = read_catalog(tmp_path / "c.ecsv", 2.8e9, -1.0)
    assert read.flux_jy.tolist() == pytest.approx([1.0, 0.5])


def test_units_are_converted(tmp_path):
    made = QTable(table())
    made["flux_jy"] = [1000.0, 2000.0] * u.mJy
    made["frequency_hz"] = [1400.0, 1400.0] * u.MHz
    made.write(tmp_path / "c.fits")
    assert read_catalog(tmp_path / "c.fits", 1.4e9, -0.7).flux_jy.tolist() == pytest.approx([1.0, 2.0])


def test_rows_without_a_number_are_left_out(tmp_path):
    made = Table(table(), masked=True)
    made["flux_jy"].mask = [True, False]
    made.write(tmp_path / "c.ecsv")
    assert read_catalog(tmp_path / "c.ecsv", 1.4e9, 0.0).name.tolist() == ["b"]


def test_missing_column_is_named(tmp_path):
    made = table()
    made.remove_column("frequency_hz")
    made.write(tmp_path / "c.csv")
    with pytest.raises(BadConfig, match=r"catalog c\.csv has no column 'frequency_hz'"):
        read_catalog(tmp_path / "c.csv", 1.4e9, -0.7)


def test_column_of_words_is_named(tmp_path):
    table(flux_jy=["bright", "faint"]).write(tmp_path / "c.csv")
    with pytest.raises(BadConfig, match=r"c\.csv, column 'flux_jy'"):
        read_catalog(tmp_path / "c.csv", 1.4e9, -0.7)


@pytest.mark.parametrize("content", [b"", b"\0\1\2 not a table", b"SIMPLE  =    T"])
def test_file_that_is_no_table_is_named(tmp_path, content):
    (tmp_path / "c.fits").write_bytes(content)
    with pytest.raises(BadConfig, match=r"catalog c\.fits cannot be read as a table"):
        read_catalog(tmp_path / "c.fits", 1.4e9, -0.7)


def test_joined_catalogs_remember_their_files(tmp_path):
    for name in ("c.csv", "d.csv"):
        table().write(tmp_path / name)
    both = join([read_catalog(tmp_path / name, 1.4e9, -0.7) for name in ("c.csv", "d.csv")])
    assert both.file.tolist() == ["c.csv", "c.csv", "d.csv", "d.csv"]
