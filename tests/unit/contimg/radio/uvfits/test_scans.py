from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from contimg.errors import BadInput
from contimg.instruments import telescope
from contimg.models.observation import Role
from contimg.radio.coordinates import isot
from contimg.radio.uvfits import scans as uvfits


def test_scans_of_ngc5921_against_listobs(ngc5921):
    """CASA's listobs gives the same seven scans, in TAI, which was 29 s ahead of UTC."""
    found = uvfits.scans(ngc5921)
    assert [(s.source[:4], s.integrations) for s in found] == [
        ("1331", 12),
        ("1445", 5),
        ("N592", 16),
        ("1445", 2),
        ("1445", 3),
        ("N592", 18),
        ("1445", 4),
    ]
    assert isot(found[0].start_jd) == "1995-04-13T09:18:16"  # 09:18:45 TAI
    assert isot(found[-1].end_jd) == "1995-04-13T10:46:46"  # 10:47:15 TAI
    assert found[2].ra_deg == pytest.approx(230.5, abs=2e-5)
    assert found[2].dec_deg == pytest.approx(5.06667, abs=2e-5)


def test_longer_gap_joins_scans_of_one_source(ngc5921):
    assert len(uvfits.scans(ngc5921, gap_s=3600)) == 6  # two neighbouring scans of 1445+099


def test_roles_need_name_or_place():
    assert uvfits.role_of("1331+30500002_0", 0, 0) is Role.BANDPASS
    assert uvfits.role_of("anything", 221.3186, 9.97669) is Role.GAIN
    assert uvfits.role_of("anything", 221.3186, 9.97669 + 31 / 3600) is Role.TARGET


def _tiny(path, jd, source=None):
    names, values = ["UU", "VV", "WW", "DATE", "BASELINE"], [np.zeros(len(jd))] * 3 + [jd, np.full(len(jd), 258.0)]
    if source is not None:
        names, values = [*names, "SOURCE"], [*values, source]
    shape = (len(jd), 1, 1, 1, 1, 1, 3)
    data = fits.GroupData(np.zeros(shape, np.float32), parnames=names, pardata=values, bitpix=-64)
    head = fits.GroupsHDU(data)
    cards = {"CTYPE6": "RA", "CRVAL6": 10.0, "CTYPE7": "DEC", "CRVAL7": 20.0, "OBJECT": "FIELD", "TELESCOP": "VLA"}
    head.header.update(cards)
    antennas = fits.BinTableHDU.from_columns([fits.Column("ANNAME", "8A", array=["A"])], name="AIPS AN")
    fits.HDUList([head, antennas]).writeto(path)
    return path


def test_file_with_one_source_and_no_source_table(tmp_path):
    jd = 2450000.5 + np.array([0, 0, 10, 10, 20, 500, 510]) / 86400
    found = uvfits.scans(_tiny(tmp_path / "one.fits", jd))
    assert [(s.number, s.source, s.integrations) for s in found] == [(1, "FIELD", 3), (2, "FIELD", 2)]
    assert found[0].integration_s == pytest.approx(10, abs=1e-3)
    assert found[0].ra_deg == pytest.approx(10, abs=1e-4)


def test_not_a_fits_file(tmp_path):
    path = tmp_path / "x.fits"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(BadInput, match=r"x\.fits cannot be read as UVFITS") as caught:
        uvfits.scans(path)
    assert caught.value.reason == "unreadable"


def test_empty_file(tmp_path):
    path = tmp_path / "x.fits"
    path.touch()
    with pytest.raises(BadInput, match="0 bytes"):
        uvfits.scans(path)


def test_image_is_no_uvfits(tmp_path):
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
    with pytest.raises(BadInput):
        uvfits.scans(tmp_path / "image.fits")


@pytest.mark.parametrize(
    ("jd", "words"),
    [
        (np.array([0.0, 10 / 86400]), "DATE holds 0 d"),
        (np.full(2, 1e300), r"DATE holds 1e\+300 d"),
        (np.full(3, 2450000.5), "the integration time holds 0 s"),
        (2450000.5 + np.arange(3.0), "the integration time holds 86400 s"),
    ],
)
def test_times_out_of_bounds_are_named(tmp_path, jd, words):
    with pytest.raises(BadInput, match=rf"one\.fits: {words}") as caught:
        uvfits.scans(_tiny(tmp_path / "one.fits", jd))
    assert caught.value.reason == "out-of-bounds"


def test_cut_file_is_truncated(ngc5921, tmp_path):
    path = tmp_path / "cut.fits"
    path.write_bytes(ngc5921.read_bytes()[: 3 << 20])
    with pytest.raises(BadInput, match=r"cut\.fits is truncated") as caught:
        uvfits.scans(path)
    assert caught.value.reason == "truncated"


def test_apparent_declination_is_that_of_date(ngc5921):
    """N5921_2 at J2000 +05:04:00; precession from 2000 to 1995.3 moves it by +0.0175 deg, the rest is < 0.01."""
    target = uvfits.scans(ngc5921)[2]
    assert target.app_dec_deg(telescope("vla")) - target.dec_deg == pytest.approx(0.0175, abs=0.01)
