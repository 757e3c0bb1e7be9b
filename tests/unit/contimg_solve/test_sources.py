from __future__ import annotations

import numpy as np
import pytest
from gain_bench import ANTENNAS, FREQS, PRIMARY, TARGET, write_scan

from contimg.errors import BadConfig
from contimg.radio.ms.read import open_recording
from contimg_solve.sources import flux_jy, identify, is_listed


def recording(tmp_path, name, centre):
    tmp_path.mkdir(exist_ok=True)
    ones = np.ones((len(FREQS), 2, ANTENNAS))
    return open_recording(write_scan(tmp_path / "t.ms", name, centre, [(*centre, 1.0)], ones, integrations=1))


def test_place_counts_more_than_name(tmp_path):
    found = recording(tmp_path, "whatever", PRIMARY)
    assert identify(found).name == "1331+305"
    assert is_listed(found)


def test_name_counts_where_the_place_is_not_listed(tmp_path):
    assert identify(recording(tmp_path, "3C48", TARGET)).name == "0137+331"


def test_unlisted_source_keeps_its_name(tmp_path):
    found = identify(recording(tmp_path, "my field", TARGET))
    assert found.name == "my field"
    assert not is_listed(recording(tmp_path / "again", "my field", TARGET))
    assert np.degrees(found.ra_rad) == pytest.approx(TARGET[0])


def test_fluxes():
    # Perley & Butler 2017: 3C286 at 1.4134 GHz as CASA's setjy gives it.
    assert flux_jy("3C286", np.array([1.413422e9]), 0.0)[0] == pytest.approx(15.0159, rel=5e-4)
    plain = flux_jy("1445+099", np.array([1.405e9, 2.81e9]), -1.0)
    assert plain[1] == pytest.approx(plain[0] / 2)
    with pytest.raises(BadConfig, match="did you mean"):
        flux_jy("nobody", FREQS, 0.0)


@pytest.mark.parametrize(("offset_arcsec", "name"), [(29, "1331+305"), (31, "my field")])
def test_place_counts_within_thirty_arcsec(tmp_path, offset_arcsec, name):
    found = identify(recording(tmp_path, "my field", (PRIMARY[0], PRIMARY[1] + offset_arcsec / 3600)))
    assert found.name == name


def test_flux_of_the_scale_does_not_listen_to_the_spectral_index():
    for name in ("1331+305", "3C286"):
        np.testing.assert_array_equal(flux_jy(name, FREQS, -0.7), flux_jy(name, FREQS, 3.0))
    assert flux_jy("1445+099", FREQS, -0.7) != pytest.approx(flux_jy("1445+099", FREQS, 3.0))
