"""Places on the sky: experiment P, T21 and T22."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.time import Time

from contimg.errors import BadConfig
from contimg.instruments.comap.grids import around, named, pixels
from contimg.instruments.comap.pointing import icrs_to_galactic, to_galactic
from contimg.instruments.comap.site import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG, source_group

SITE = EarthLocation.from_geodetic(LONGITUDE_DEG * u.deg, LATITUDE_DEG * u.deg, HEIGHT_M * u.m)


@pytest.mark.parametrize(("amplitude", "period"), [(0.25, 6.0), (0.8, 20.0), (1.0, 15.0), (2.0, 20.0)])
def test_p_fast_scans_against_the_exact_transform_defect_6(amplitude, period):
    t = np.arange(0, 60, 0.02)[::7]
    mjd, el = 59600.25 + t / 86400, np.full(len(t), 45.0)
    az = 150.0 + amplitude * np.sin(2 * np.pi * t / period) / np.cos(np.radians(45))
    glon, glat = to_galactic(mjd, az, el)
    exact = SkyCoord(az * u.deg, el * u.deg, frame=AltAz(obstime=Time(mjd, format="mjd"), location=SITE)).galactic
    found = SkyCoord(glon * u.deg, glat * u.deg, frame="galactic")
    assert found.separation(exact).to_value("arcmin").max() < 0.01


@pytest.mark.parametrize(
    ("ra", "dec", "glon", "glat"),
    [
        (83.633083, 22.014500, 184.5575, -5.7844),
        (350.862208, 58.818800, 111.742, -2.128),
        (299.868150, 40.733916, 76.190, 5.755),
    ],
)
def test_t22_places_of_the_calibrators(ra, dec, glon, glat):
    found = icrs_to_galactic(np.radians([ra]), np.radians([dec]))
    assert (found[0][0], found[1][0]) == (pytest.approx(glon, abs=1e-3), pytest.approx(glat, abs=1e-3))


def test_t21_named_grids():
    x, y = named("Galactic").wcs_world2pix(30.0, 0.0, 0)
    assert (float(x), float(y)) == (pytest.approx(9000.014, abs=0.02), pytest.approx(360.0, abs=0.02))
    x, y = named("TauA").wcs_world2pix(184.5575, -5.7844, 0)
    assert (float(x), float(y)) == (pytest.approx(299.83, abs=0.02), pytest.approx(299.93, abs=0.02))
    with pytest.raises(BadConfig, match="'galactic' is unknown; did you mean 'Galactic'"):
        named("galactic")


def test_a_sample_belongs_to_the_nearest_pixel_defect_4():
    grid = around(np.array([359.9, 0.3]), np.array([-0.1, 0.4]), 1 / 60, 0.1)
    ny, nx = grid.array_shape
    assert ny % 2 == nx % 2 == 1
    glon, glat = grid.wcs_pix2world([3.0, 3.49, 3.51], [5.0, 5.49, 4.51], 0)
    assert pixels(grid, glon, glat).tolist() == [5 * nx + 3, 5 * nx + 3, 5 * nx + 4]
    assert pixels(grid, np.array([180.0]), np.array([0.0])).tolist() == [-1]


@pytest.mark.parametrize(
    ("source", "comment", "group"),
    [
        ("Field12", "", "Galactic"),
        ("TauA", "", "Calibrator"),
        ("fg4", "", "Foreground"),
        ("co2", "", "CO"),
        ("comet", "", "Other"),
        ("Field12", "Sky nod", "SkyDip"),
    ],
)
def test_groups_of_sources(source, comment, group):
    assert source_group(source, comment) == group
