import numpy as np
import pytest

from contimg.instruments import stations, telescope
from contimg.instruments.dsa110.simulate.array import array_of, beam_fwhm_arcsec, frequencies
from contimg.instruments.dsa110.simulate.config import SimulationConfig, preset

DSA = telescope("dsa110")


def test_frequencies_of_the_reference():
    """dsa110.md, section 1.2."""
    mhz = frequencies(48) / 1e6
    assert mhz.shape == (16, 48)
    assert (np.diff(mhz.ravel()) < 0).all()
    for subband, first, last in [
        (0, 1498.643188477, 1487.168579102),
        (7, 1416.611938477, 1405.137329102),
        (8, 1404.893188477, 1393.418579102),
        (15, 1322.861938477, 1311.387329102),
    ]:
        assert mhz[subband, [0, -1]] == pytest.approx([first, last], abs=1e-8)
    assert mhz.mean() == pytest.approx(1405.0152587890625, abs=1e-9)
    assert frequencies(48)[0, 0] == 1498643188.4765625
    np.testing.assert_array_equal(np.diff(frequencies(48)[3]), -244140.625)


@pytest.mark.parametrize("channels", [1, 2, 4, 48])
def test_fewer_channels_keep_the_band(channels):
    mhz = frequencies(channels) / 1e6
    width = 187.5 / mhz.size
    assert mhz.max() + width / 2 == pytest.approx(1498.7653, abs=1e-4)
    assert mhz.min() - width / 2 == pytest.approx(1311.2653, abs=1e-4)


def test_full_array_and_the_order_of_its_baselines():
    array = array_of(SimulationConfig(), DSA)
    assert len(array.numbers) == 96
    assert len(array.first) == 4656
    assert (array.first <= array.second).all()
    pairs = list(zip(array.first[:6], array.second[:6], strict=True))
    assert pairs == [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)]


def test_local_axes_point_east_and_north():
    array = array_of(preset("tiny"), DSA)
    at = dict(zip(array.numbers.tolist(), array.local_m, strict=True))
    west_to_east = at[14] - at[1]
    assert west_to_east[1] == pytest.approx(13 * 5.7513, rel=2e-3)
    assert np.abs(west_to_east[[0, 2]]).max() < 0.1
    south_to_north = at[102] - at[70]
    assert np.linalg.norm(south_to_north) == pytest.approx(32 * 8.658, rel=2e-3)
    assert south_to_north[2] > 0 > south_to_north[0]


def test_uvw_are_a_rotation_and_w_points_to_the_source():
    array = array_of(preset("tiny"), DSA)
    uvw = array.uvw(np.radians(37.2334051))
    itrf = {each.number: each.itrf_m for each in stations("dsa110")}
    for (u, v, w), a, b in zip(uvw, array.first, array.second, strict=True):
        length = np.linalg.norm(itrf[array.numbers[b]] - itrf[array.numbers[a]])
        assert np.hypot(np.hypot(u, v), w) == pytest.approx(length, abs=1e-6)
    assert np.abs(uvw[:, 2]).max() < 8, "towards the zenith w is the difference of heights"


def test_beam_of_the_full_array_is_smaller_than_that_of_its_arms():
    full = array_of(SimulationConfig(), DSA)
    arms = array_of(SimulationConfig(stations=tuple(n for n in full.numbers.tolist() if n <= 102)), DSA)
    band = frequencies(1)
    sharp, blunt = (beam_fwhm_arcsec(each, np.radians(49.9), band) for each in (full, arms))
    assert 8 < sharp < 30
    assert 50 < blunt < 110
