from __future__ import annotations

import numpy as np
import pytest

from contimg.errors import BadConfig
from contimg.radio.gaussians import Beam
from contimg_image.restoring import fit_beam, gaussian, matched, restore

CELL = np.radians(3 / 3600)


@pytest.mark.parametrize("size", [200, 201])
@pytest.mark.parametrize("pa", [0.0, 30.0, 90.0, 150.0])
def test_fit_returns_the_gaussian_that_was_drawn(size, pa):
    beam = fit_beam(gaussian(Beam(30.0, 15.0, pa), size, CELL).astype(np.float32), CELL)
    assert beam.major_arcsec == pytest.approx(30.0, rel=1e-4)
    assert beam.minor_arcsec == pytest.approx(15.0, rel=1e-4)
    assert (beam.pa_deg - pa + 90) % 180 - 90 == pytest.approx(0.0, abs=0.05)


def test_position_angle_runs_from_north_through_east():
    image = gaussian(Beam(40.0, 10.0, 45.0), 101, CELL)
    assert image[55, 45] > 10 * image[55, 55]  # up and left is north-east
    assert image[50, 50] == 1


def test_width_is_the_full_width_at_half_maximum():
    image = gaussian(Beam(30.0, 12.0, 0.0), 101, CELL)
    assert image[55, 50] == pytest.approx(0.5)
    assert image[50, 52] == pytest.approx(0.5)


def test_sidelobes_outside_the_main_lobe_do_not_matter():
    psf = gaussian(Beam(30.0, 15.0, 20.0), 200, CELL).astype(np.float32)
    psf[100, 120:124] = 0.6
    assert fit_beam(psf, CELL).major_arcsec == pytest.approx(30.0, rel=1e-4)


def test_a_lobe_that_cannot_be_fitted_is_a_wrong_choice_of_pixels():
    with pytest.raises(BadConfig, match="choose another cell_arcsec"):
        fit_beam(gaussian(Beam(3.0, 3.0, 0.0), 64, CELL).astype(np.float32), CELL)
    with pytest.raises(BadConfig, match="choose another cell_arcsec"):
        fit_beam(gaussian(Beam(900.0, 900.0, 0.0), 64, CELL).astype(np.float32), CELL)


def test_restored_point_is_the_beam_with_its_flux():
    model, residual = np.zeros((120, 120), np.float32), np.full((120, 120), 0.01, np.float32)
    model[80, 30] = 2.0
    beam = Beam(30.0, 15.0, 30.0)
    image = restore(model, residual, beam, CELL)
    assert image[80, 30] == pytest.approx(2.01, rel=1e-5)
    assert np.unravel_index(image.argmax(), image.shape) == (80, 30)
    expected = np.roll(2 * gaussian(beam, 120, CELL), (20, -30), axis=(0, 1)) + 0.01
    assert np.abs(image - expected).max() < 1e-5


def test_nothing_comes_back_in_at_the_other_edge():
    model = np.zeros((64, 64), np.float32)
    model[1, 62] = 1.0
    image = restore(model, np.zeros_like(model), Beam(30.0, 30.0, 0.0), CELL)
    assert np.abs(image[40:]).max() < 1e-6
    assert np.abs(image[:, :20]).max() < 1e-6


def at(beam, y, x, size=160):
    return np.roll(gaussian(beam, size, CELL), (y - size // 2, x - size // 2), axis=(0, 1)).astype(np.float32)


@pytest.mark.parametrize("wanted", [Beam(40.0, 25.0, 35.0), Beam(31.0, 15.5, 30.0), Beam(50.0, 50.0, 0.0)])
def test_an_uncleaned_source_gets_the_beam_and_keeps_its_flux(wanted):
    dirty = Beam(30.0, 15.0, 30.0)
    found = matched(0.5 * at(dirty, 100, 50), gaussian(dirty, 256, CELL).astype(np.float32), dirty, wanted, CELL)
    assert np.abs(found - 0.5 * at(wanted, 100, 50)).max() < 2e-4


def test_nothing_is_sharpened_where_the_beam_is_narrower():
    dirty, wanted = Beam(79.0, 42.0, 20.0), Beam(58.0, 58.0, 0.0)
    psf = gaussian(dirty, 256, CELL).astype(np.float32)
    found = matched(0.5 * at(dirty, 80, 80), psf, dirty, wanted, CELL)
    assert found[80, 80] == pytest.approx(0.5, rel=1e-4)
    fitted = fit_beam(found / 0.5, CELL)
    assert 70.0 < fitted.major_arcsec < 79.5
    assert 50.0 < fitted.minor_arcsec < 58.5


def test_the_residual_stays_as_it_is_when_the_beam_is_the_fitted_one():
    beam = Beam(30.0, 15.0, 30.0)
    residual = np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32)
    assert matched(residual, gaussian(beam, 128, CELL).astype(np.float32), beam, beam, CELL) is residual
