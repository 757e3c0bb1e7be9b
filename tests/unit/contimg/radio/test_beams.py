import numpy as np
import pytest
from scipy.optimize import brentq

from contimg.errors import BadConfig
from contimg.instruments import telescope
from contimg.radio.beams import BEAM_MODELS, drift_beam, power_beam
from contimg.radio.coordinates import meridian_icrs

DSA = telescope("dsa110")


def fwhm_deg(model, freq, dish):
    return 2 * brentq(lambda d: power_beam(model, np.radians(d), freq, dish) - 0.5, 0.1, 3.0)


@pytest.mark.parametrize(
    ("model", "dish", "freq", "fwhm", "at"),
    [
        ("airy", 4.65, 1.405e9, 2.706, (0.9140, 0.6920, 0.4209, 0.1912)),
        ("airy", 4.7, 1.4e9, 2.686, (0.9128, 0.6882, 0.4153, 0.1859)),
        ("dsacalib", 4.7, 1.405e9, 1.845, (0.8185, 0.4412, 0.1474, 0.0265)),
    ],
)
def test_table_of_the_reference(model, dish, freq, fwhm, at):
    """dsa110.md, section 2.7."""
    assert fwhm_deg(model, freq, dish) == pytest.approx(fwhm, abs=2e-3)
    np.testing.assert_allclose(power_beam(model, np.radians([0.5, 1.0, 1.5, 2.0]), freq, dish), at, atol=1.5e-4)


def test_airy_radii_of_the_reference():
    for level, radius in {0.5: 1.353, 0.3: 1.743, 0.2: 1.977, 0.1: 2.286}.items():
        assert power_beam("airy", np.radians(radius), 1.405e9, 4.65) == pytest.approx(level, abs=1e-3)


def test_gaussian_has_the_stated_width():
    assert fwhm_deg("gaussian", 1.405e9, 4.65) == pytest.approx(np.degrees(1.2 * 299792458 / 1.405e9 / 4.65), abs=1e-6)


@pytest.mark.parametrize("model", BEAM_MODELS)
def test_every_model_is_one_on_the_axis_even_and_finite_everywhere(model):
    theta = np.linspace(-np.pi, np.pi, 2001)
    beam = power_beam(model, theta, 1.4e9, 4.7)
    assert power_beam(model, 0.0, 1.4e9, 4.7) == pytest.approx(1.0)
    assert np.isfinite(beam).all()
    assert (beam >= 0).all()
    np.testing.assert_allclose(beam, beam[::-1], rtol=1e-9)


def test_removable_point_of_the_taper():
    theta = 0.5 * 299792458 / (1.2 * 1.4e9 * 4.7)
    near = power_beam("dsacalib", theta * np.array([1 - 1e-4, 1, 1 + 1e-4]), 1.4e9, 4.7)
    assert near[1] == pytest.approx((np.pi / 4) ** 4)
    assert near[0] > near[1] > near[2]


def test_unknown_model_is_refused():
    with pytest.raises(BadConfig, match="'bessel' is unknown; use one of airy"):
        power_beam("bessel", 0.0, 1e9, 4.65)


def test_beam_stands_still_while_the_sky_drifts():
    times = 2461066.4 + np.arange(-12, 13) * 12.884901888 / 86400
    dec = np.radians(33.0)
    (ra0,), (dec0,) = meridian_icrs(times[12:13], dec, DSA)
    beam = drift_beam("airy", 4.65, [ra0, ra0 + 0.02], [dec0, dec0], times, [1.3e9, 1.5e9], dec, DSA)
    assert beam.shape == (25, 2, 2)
    assert beam[12, 0] == pytest.approx([1, 1], abs=1e-9)
    np.testing.assert_allclose(beam[:, 0], beam[::-1, 0], rtol=1e-4)
    # The sky turns 0.645 degrees of RA in 154.6 s: theta = 0.541 degrees at this declination.
    theta = np.radians(154.6188 / 86164.0905 * 360 * np.cos(dec))
    np.testing.assert_allclose(beam[0, 0], power_beam("airy", theta, [1.3e9, 1.5e9], 4.65), rtol=1e-4)
    assert (np.diff(beam[:, 1, 0]) > 0).all(), "a source to the east rises into the beam"
    assert (beam[..., 0] >= beam[..., 1]).all(), "the beam narrows with frequency"
