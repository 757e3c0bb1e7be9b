"""Beams as quadratic forms, fits and their errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skies import beam_noise

from contimg.radio.gaussians import Beam, autocorrelation, beam_difference, fit_gaussian, gaussian

sizes = st.floats(2.0, 100.0)
angles = st.floats(0.0, 179.9)


@given(minor=sizes, stretch=st.floats(1.05, 4.0), pa=angles)
def test_form_and_back(minor, stretch, pa):
    beam = Beam(minor * stretch, minor, pa)
    again = Beam.from_widths(beam.widths(3.0), 3.0)
    assert again.major_arcsec == pytest.approx(beam.major_arcsec)
    assert again.minor_arcsec == pytest.approx(minor)
    assert abs((again.pa_deg - pa + 90) % 180 - 90) < 1e-5


def test_position_angle_runs_from_north_through_east():
    """At 45 degrees the ridge goes to the north-east: x to the west, so x = -y."""
    cxx, cyy, cxy = Beam(20.0, 10.0, 45.0).widths(1.0)
    ridge = gaussian(np.array([1, 0, 0, cxx, cyy, cxy]), np.array([-5.0]), np.array([5.0]))
    across = gaussian(np.array([1, 0, 0, cxx, cyy, cxy]), np.array([5.0]), np.array([5.0]))
    assert ridge > across


def test_half_maximum_lies_at_half_the_width():
    params = np.array([1, 0, 0, *Beam(20.0, 10.0, 0.0).widths(1.0)])
    assert gaussian(params, np.array([5.0, 0.0]), np.array([0.0, 10.0])) == pytest.approx(0.5)


def test_area_is_the_sum_over_pixels():
    y, x = np.mgrid[-40:41, -40:41].astype(float)
    beam = Beam(20.0, 12.0, 30.0)
    total = gaussian(np.array([1, 0, 0, *beam.widths(2.0)]), x, y).sum()
    assert beam.area(2.0) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize(
    ("second", "wanted"),
    [(Beam(30, 20, 10), 0.0), (Beam(30.3, 20.2, 10), 0.01), (Beam(30, 21, 10), 0.05), (Beam(20, 30, 100), 0.0)],
)
def test_difference_of_beams(second, wanted):
    assert beam_difference([Beam(30, 20, 10), Beam(30, 20, 10), second]) == pytest.approx(wanted, abs=1e-6)


def test_turned_beam_is_another_one():
    assert beam_difference([Beam(30, 20, 0), Beam(30, 20, 90)]) == pytest.approx(0.5)


def test_fit_without_noise_is_exact():
    y, x = np.mgrid[:40, :40].astype(float)
    truth = np.array([2.0, 20.3, 18.7, *Beam(7.0, 5.0, 30.0).widths(1.0)])
    fit = fit_gaussian(gaussian(truth, x, y), (1.9, 20, 19), Beam(6, 6).widths(1.0), 1e-3, radius=6.0)
    assert fit.converged
    np.testing.assert_allclose(fit.params, truth, rtol=1e-6)
    assert fit.integrated(Beam(7.0, 5.0, 30.0), 1.0)[0] == pytest.approx(2.0)


def test_fit_of_a_slope_or_of_nothing_does_not_converge():
    x = np.mgrid[:40, :40][1].astype(float)
    assert not fit_gaussian(x * 0.1, (4.0, 39, 20), Beam(6, 6).widths(1.0), 1.0, radius=5.0).converged
    assert not fit_gaussian(np.full((40, 40), np.nan), (1, 20, 20), Beam(6, 6).widths(1.0), 1.0, radius=5.0).converged


def test_autocorrelation_of_beam_noise_is_a_wider_gaussian():
    noise = beam_noise(np.random.default_rng(0), (800, 800), 3.0, 6.0)
    noise[100:200, 100:300] = np.nan
    found = autocorrelation(noise, 8)
    y, x = np.mgrid[-8:9, -8:9]
    truth = np.exp(-(x**2 + y**2) / (4 * (6.0 / 2.354820045) ** 2))
    assert np.abs(found - truth).max() < 0.06


def test_errors_agree_with_condon_1997():
    """His closed form for a point source in noise with the beam's correlation; good to 10-20 per cent."""
    correlation = autocorrelation(beam_noise(np.random.default_rng(1), (1500, 1500), 1.0, 5.0), 12)
    y, x = np.mgrid[:41, :41].astype(float)
    beam = Beam(5.0, 5.0, 0.0)
    image = gaussian(np.array([100.0, 20.2, 19.9, *beam.widths(1.0)]), x, y)
    fit = fit_gaussian(image, (100, 20, 20), beam.widths(1.0), 1.0, correlation, radius=5.0)
    rho = np.sqrt(2.0) * 100.0  # equation 20 with equal widths and alpha = 3/2, 3/2
    assert fit.error(0) == pytest.approx(np.sqrt(2.0) / rho * 100.0, rel=0.1)
    rho_position = np.sqrt(0.25 * 2.0 ** (5 / 2 + 1 / 2)) * 100.0
    sigma_x = np.sqrt(2.0) / rho_position * 5.0 / np.sqrt(8 * np.log(2))
    assert fit.error(1) == pytest.approx(sigma_x, rel=0.35)
