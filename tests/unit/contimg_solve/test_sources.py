from __future__ import annotations

import numpy as np
import pytest
from gain_bench import ANTENNAS, FREQS, PRIMARY, TARGET, write_scan

from contimg.errors import BadConfig
from contimg_solve.data import open_recording
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
