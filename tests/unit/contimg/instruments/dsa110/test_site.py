from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from contimg.instruments.dsa110.site import dsa110


def test_it_stands_at_the_centre_of_antpos():
    dsa = dsa110()
    assert np.radians(dsa.latitude_deg) == pytest.approx(0.6498455107238486, abs=1e-15)
    assert np.radians(dsa.longitude_deg) == pytest.approx(-2.064427799136453, abs=1e-15)
    assert dsa.location.height.value == pytest.approx(1188.0519, abs=1e-6)
    assert (dsa.casa_name, dsa.dish_m, dsa.beam, dsa.feeds) == ("OVRO_MMA", 4.65, "airy", ("X", "Y"))
    assert dsa.drift_scan


def test_station_list_is_the_official_one():
    every = dsa110().stations
    assert [each.number for each in every] == list(range(1, 118))
    assert [each.name for each in every] == [str(n) for n in range(1, 118)]
    inactive = {each.number for each in every if not each.active}
    assert inactive == {10, 21, 22, 23, *range(52, 68), 117}
    itrf = {each.number: each.itrf_m for each in every}
    np.testing.assert_allclose(itrf[1], [-2409761.229, -4478100.499, 3838761.518], atol=1e-3)
    np.testing.assert_allclose(itrf[103], [-2409526.404, -4478482.899, 3838462.653], atol=1e-3)
    np.testing.assert_allclose(itrf[109], [-2408747.781, -4477384.000, 3840229.152], atol=1e-3)


def test_baselines_have_the_known_extremes():
    active = {each.number: each.itrf_m for each in dsa110().stations if each.active}
    length = {pair: float(np.linalg.norm(active[pair[0]] - active[pair[1]])) for pair in combinations(active, 2)}
    assert len(length) == 4560
    assert max(length, key=lambda pair: length[pair]) == (108, 116)
    assert max(length.values()) == pytest.approx(2601.63, abs=0.01)
    assert min(length.values()) == pytest.approx(5.751, abs=0.002)
    assert sum(each > 213.4 for each in length.values()) == pytest.approx(3144, abs=3)


def test_stations_cannot_be_changed_by_a_reader():
    with pytest.raises(ValueError, match="read-only"):
        dsa110().stations[0].itrf_m[0] = 0.0
