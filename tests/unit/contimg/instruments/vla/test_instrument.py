from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import ICRS, PrecessedGeocentric, SkyCoord
from astropy.time import Time

from contimg.errors import BadConfig, BadInput
from contimg.instruments import telescope
from contimg.instruments.vla.instrument import INSTRUMENT
from contimg.instruments.vla.scans import pieces_of
from contimg.models.observation import Role
from contimg.models.survey import FileSetRules


@pytest.mark.parametrize(
    ("name", "ours"), [("NGC5921.fits", True), ("x.UVFITS", True), ("x.uvf", True), ("x.hdf5", False)]
)
def test_files_are_recognised_by_name(name, ours):
    assert INSTRUMENT.recognise(Path(name), b"") is ours
    assert INSTRUMENT.hint(Path(name)) is None


def test_every_scan_is_a_recording_of_its_own(ngc5921):
    pieces = INSTRUMENT.read(ngc5921)
    sets = INSTRUMENT.gather(pieces, FileSetRules(expect=16))
    assert [files.expected for files in sets] == [(f"scan-{n}",) for n in range(1, 8)]
    assert not any(files.missing for files in sets)
    assert len({files.id for files in sets}) == 7


def test_a_scan_is_described_with_source_role_and_apparent_place(ngc5921):
    sets = INSTRUMENT.gather(INSTRUMENT.read(ngc5921), FileSetRules())
    said = [INSTRUMENT.describe(files) for files in sets]
    assert [each.role for each in said[:3]] == [Role.BANDPASS, Role.GAIN, Role.TARGET]
    assert [each.scan for each in said] == list(range(1, 8))
    assert said[0].date == "1995-04-13"
    target = said[2]
    mid = Time(target.start) + (target.end - target.start) / 2
    place = SkyCoord(ICRS(target.ra_deg * u.deg, 5.06667 * u.deg))
    of_date = place.transform_to(PrecessedGeocentric(equinox=mid, obstime=mid))
    assert target.dec_deg == pytest.approx(of_date.dec.deg, abs=0.02), "precession from 2000 to 1995, and aberration"
    assert np.abs(target.dec_deg - 5.06667) > 0.01


def test_a_file_of_another_telescope_is_not_ours(ngc5921):
    with pytest.raises(BadInput, match="is of telescope 'VLA', which no instrument here knows") as caught:
        pieces_of(ngc5921, telescope("dsa110"))
    assert caught.value.reason == "unknown-telescope"


def test_it_has_no_simulator(tmp_path):
    assert INSTRUMENT.presets == ()
    with pytest.raises(BadConfig, match="instrument 'vla' has no simulator; copy raw files"):
        INSTRUMENT.simulate(tmp_path, "tiny")
