"""Beams for any frequency and dish."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.instruments import telescope
from contimg.radio.beams import BEAM_MODELS, drift_beam, power_beam
from contimg.radio.coordinates import meridian_icrs

LIGHT = 299792458.0
FIRST_NULL = {"airy": 1.21966989, "dsacalib": 1.5 / 1.2}
"""In wavelengths over the diameter: first zero of J1 over pi; cos(3 pi / 2)."""

FEW = settings(max_examples=30, deadline=None)
models = st.sampled_from(BEAM_MODELS)
frequencies = st.floats(1e9, 8e9)
dishes = st.floats(4, 30)


@FEW
@given(models, frequencies, dishes, st.floats(-3, 3))
def test_beams_are_even_bounded_and_one_at_the_centre(model, freq, dish, theta):
    found = power_beam(model, theta, freq, dish)
    assert 0 <= found <= 1 + 1e-12
    assert found == power_beam(model, -theta, freq, dish)
    assert power_beam(model, 0.0, freq, dish) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("model", ["airy", "dsacalib"])
@FEW
@given(frequencies, dishes)
def test_beams_fall_to_their_first_null(model, freq, dish):
    null = FIRST_NULL[model] * LIGHT / freq / dish
    theta = np.linspace(0, null, 200)
    arc = np.arcsin(theta) if model == "airy" else theta
    found = power_beam(model, arc, freq, dish)
    assert (np.diff(found) < 0).all()
    assert found[-1] < 1e-12
    beyond = 1.2 * theta[-1]
    assert power_beam(model, np.arcsin(beyond) if model == "airy" else beyond, freq, dish) > 1e-5


@FEW
@given(frequencies, dishes, st.floats(0, 0.1), st.floats(0, 0.1))
def test_the_gaussian_has_no_null_and_always_falls(freq, dish, near, step):
    far = near + step
    assert power_beam("gaussian", far, freq, dish) <= power_beam("gaussian", near, freq, dish)


@pytest.mark.parametrize("model", ["gaussian", "dsacalib"])
@FEW
@given(frequencies, dishes, st.floats(0.001, 0.1), st.floats(0.5, 2))
def test_a_larger_dish_is_a_higher_frequency(model, freq, dish, theta, factor):
    assert power_beam(model, theta, freq * factor, dish) == pytest.approx(
        power_beam(model, theta, freq, dish * factor), abs=1e-9
    )


@FEW
@given(frequencies, dishes)
def test_the_model_without_a_beam_is_flat(freq, dish):
    assert (power_beam("none", np.linspace(-2, 2, 11), freq, dish) == 1).all()


@pytest.mark.parametrize("model", BEAM_MODELS)
def test_shapes_are_broadcast(model):
    assert power_beam(model, np.zeros((3, 1)), np.full(4, 1.4e9), 4.65).shape == (3, 4)
    assert power_beam(model, 0.01, 1.4e9, 4.65).shape == ()


@settings(max_examples=4, deadline=None)
@given(st.floats(2460000, 2461000), st.floats(np.radians(-30), np.radians(75)))
def test_a_source_on_the_meridian_is_seen_in_full(when, dec):
    dsa = telescope("dsa110")
    a, d = meridian_icrs([when], dec, dsa)
    beam = drift_beam("airy", 4.65, a, d, [when - 0.01, when, when + 0.01], [1.4e9], dec, dsa)[:, 0, 0]
    assert beam[1] == pytest.approx(1, abs=1e-9)
    assert beam[0] < beam[1] > beam[2]
    assert beam[0] == pytest.approx(beam[2], rel=0.05, abs=1e-3)
