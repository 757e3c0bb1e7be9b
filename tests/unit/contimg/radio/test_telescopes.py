from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u

from contimg.radio.telescopes import Station, Telescope


@pytest.fixture
def pole():
    return Telescope("pole", "POLE", 90.0, 0.0, 100.0, 10.0, "airy", 500.0, ("X", "Y"))


def test_the_centre_is_on_the_ellipsoid_of_wgs84(pole):
    assert pole.location.z.to_value(u.m) == pytest.approx(6356752.3142 + 100, abs=1e-3)
    assert abs(pole.location.x.to_value(u.m)) < 1e-6


@pytest.mark.parametrize(("name", "same"), [("POLE", True), (" pole ", True), ("POLES", False), ("", False)])
def test_data_name_it_in_any_case(pole, name, same):
    assert pole.is_named(name) is same


def test_telescopes_with_stations_can_be_compared(pole):
    station = Station(1, "1", np.zeros(3), active=True)
    with_stations = Telescope("pole", "POLE", 90.0, 0.0, 100.0, 10.0, "airy", 500.0, ("X", "Y"), stations=(station,))
    assert with_stations == pole
    assert hash(with_stations) == hash(pole)
