"""Reference catalogs in every form, and the sentences for those that are wrong."""

import numpy as np
import pytest
from astropy.table import Table

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


def test_joined_catalogs_remember_their_files(tmp_path):
    for name in ("c.csv", "d.csv"):
        table().write(tmp_path / name)
    both = join([read_catalog(tmp_path / name, 1.4e9, -0.7) for name in ("c.csv", "d.csv")])
    assert both.file.tolist() == ["c.csv", "c.csv", "d.csv", "d.csv"]
