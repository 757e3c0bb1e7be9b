from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable
from casacore.images import image as casa_image
from casacore.tables import table
from visibility_sim import Observation, Source, random_array, write_ms

from contimg.errors import BadInput
from contimg.radio.same import differences


@pytest.fixture
def two(tmp_path):
    return [tmp_path / "one", tmp_path / "other"]


def write_image(path, data, **cards):
    hdu = fits.PrimaryHDU(np.asarray(data, np.float32))
    hdu.header.update(cards)
    path = path.with_suffix(".fits")
    hdu.writeto(path)
    return path


def test_group_and_version_in_a_header_may_differ(two):
    paths = [write_image(p, [[1, np.nan]], GROUPID=p.name, PIPEVER=p.name, BMAJ=1.0) for p in two]
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert differences(*paths) == []


def test_any_other_card_may_not(two):
    paths = [write_image(p, [[1, 2]], BMAJ=k) for k, p in enumerate(two)]
    assert differences(*paths) == ["HDU 0, card BMAJ"]


def test_one_bit_of_a_pixel_is_a_difference(two):
    values = [1.0, np.nextafter(np.float32(1), np.float32(2))]
    assert differences(*(write_image(p, [[v]]) for p, v in zip(two, values, strict=True))) == ["HDU 0, data"]


def test_zero_is_not_minus_zero(two):
    assert differences(write_image(two[0], [[0.0]]), write_image(two[1], [[-0.0]])) == ["HDU 0, data"]


def test_tables_of_fits_are_compared(two):
    paths = []
    for k, p in enumerate(two):
        hdu = fits.BinTableHDU.from_columns([fits.Column("flux", "D", array=np.array([1.0, 2.0 + k]))])
        paths.append(p.with_suffix(".fits"))
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(paths[-1])
    assert differences(*paths) == ["HDU 1, data"]


@pytest.mark.parametrize(("meta", "flux", "said"), [("a", 2.0, 0), ("b", 2.0, 0), ("a", 2.5, 1)])
def test_ecsv(two, meta, flux, said):
    paths = []
    for p, group, value in zip(two, ("a", meta), (2.0, flux), strict=True):
        found = QTable({"flux": [value] * u.Jy})
        found.meta = {"GROUPID": group, "BMAJ": 1.0}
        paths.append(p.with_suffix(".ecsv"))
        found.write(paths[-1], format="ascii.ecsv")
    assert len(differences(*paths)) == said


def test_json_names_the_key(two):
    paths = [p.with_suffix(".json") for p in two]
    paths[0].write_text(json.dumps({"a": 1, "b": 2}))
    paths[1].write_text(json.dumps({"b": 3, "a": 1}, indent=1))
    assert differences(*paths) == ["key 'b'"]


@pytest.mark.parametrize(("other", "words"), [(b"abd", "1 of 3 bytes, the first at 2"), (b"ab", "3 and 2 bytes")])
def test_other_files_are_compared_byte_by_byte(two, other, words):
    two[0].write_bytes(b"abc")
    two[1].write_bytes(other)
    assert differences(*two) == [words]


def test_file_against_directory(two):
    two[0].write_bytes(b"")
    two[1].mkdir()
    assert differences(*two) == ["one is a file, the other a directory"]


def test_what_cannot_be_read_is_named(two):
    paths = [p.with_suffix(".json") for p in two]
    for path in paths:
        path.write_text("{" + path.stem)
    with pytest.raises(BadInput, match="cannot be compared"):
        differences(*paths)


@pytest.fixture
def two_ms(two):
    obs = Observation(random_array(4, 500.0), freq_hz=np.array([1.4e9, 1.41e9]), sources=(Source(150.2, 34.15, 1.0),))
    write_ms(obs, two[0])
    shutil.copytree(two[0], two[1])
    return two


def test_a_measurement_set_is_its_columns_not_its_files(two_ms):
    with (two_ms[1] / "table.lock").open("ab") as lock:
        lock.write(b"pid")
    assert differences(*two_ms) == []


def test_one_visibility_is_named(two_ms):
    with table(str(two_ms[1]), readonly=False, ack=False) as opened:
        data = opened.getcell("DATA", 3)
        data[0, 0] = np.nextafter(data[0, 0].real, np.float32(9)) + 1j * data[0, 0].imag
        opened.putcell("DATA", 3, data)
    assert differences(*two_ms) == ["column DATA, first in row 3"]


def test_a_cell_of_a_subtable_is_named(two_ms):
    with table(str(two_ms[1] / "FIELD"), readonly=False, ack=False) as opened:
        opened.putcell("NAME", 0, "elsewhere")
    assert differences(*two_ms) == ["FIELD: column NAME, first in row 0"]


def test_rows_columns_and_keywords(two_ms):
    with table(str(two_ms[1]), readonly=False, ack=False) as opened:
        opened.removecols("SIGMA")
        opened.putkeyword("WHO", "me")
        opened.putcolkeyword("UVW", "WHO", "me")
    assert differences(*two_ms) == ["keywords", "column SIGMA is in one of them only", "keywords of column UVW"]
    with table(str(two_ms[1]), readonly=False, ack=False) as opened:
        opened.removerows([0])
    assert differences(*two_ms)[0].endswith("rows")


def test_a_lost_subtable_is_named(two_ms):
    shutil.rmtree(two_ms[1] / "FEED")
    assert "FEED is in one of them only" in differences(*two_ms)


def test_casa_images_are_compared_by_pixels(two, tmp_path):
    paths = [tmp_path / f"{p.name}.image" for p in two]
    for k, path in enumerate(paths):
        casa_image(str(path), values=np.full((4, 4), float(k), np.float32))
    assert differences(paths[0], paths[0]) == []
    assert differences(*paths) == ["column map, first in row 0"]
