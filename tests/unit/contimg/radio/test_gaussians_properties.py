"""Shapes of beams: the quadratic form and back, areas, differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.radio.gaussians import Beam, beam_difference

FEW = settings(max_examples=60, deadline=None)
beams = st.builds(
    lambda minor, ratio, angle: Beam(minor * ratio, minor, angle),
    st.floats(2, 60),
    st.floats(1.01, 4),
    st.floats(0, 179.9),
)


@FEW
@given(beams, st.floats(0.5, 10))
def test_a_beam_is_its_quadratic_form(beam, cell):
    back = Beam.from_widths(beam.widths(cell), cell)
    assert (back.major_arcsec, back.minor_arcsec) == pytest.approx((beam.major_arcsec, beam.minor_arcsec), rel=1e-6)
    turn = (back.pa_deg - beam.pa_deg + 90) % 180 - 90
    assert abs(turn) < 1e-3


@FEW
@given(beams, st.floats(0.5, 10))
def test_the_area_is_that_of_the_form(beam, cell):
    cxx, cyy, cxy = beam.widths(cell)
    # The integral of exp(-(cxx x² + cyy y² + cxy x y) / 2).
    assert beam.area(cell) == pytest.approx(2 * np.pi / np.sqrt(cxx * cyy - cxy**2 / 4), rel=1e-9)
    assert beam.area(cell) == pytest.approx(4 * beam.area(2 * cell))


@FEW
@given(beams, beams)
def test_the_difference_is_symmetric_and_zero_for_the_same(one, other):
    assert beam_difference([one, one]) == pytest.approx(0, abs=1e-6)
    assert beam_difference([one, other]) == pytest.approx(beam_difference([other, one]), rel=1e-6, abs=1e-9)
    assert beam_difference([one]) == beam_difference([]) == 0


@FEW
@given(beams, st.floats(1, 2))
def test_a_scaled_beam_differs_by_its_scale(beam, scale):
    larger = Beam(beam.major_arcsec * scale, beam.minor_arcsec * scale, beam.pa_deg)
    assert beam_difference([beam, larger]) == pytest.approx(scale - 1, abs=1e-6)


@FEW
@given(st.lists(beams, min_size=2, max_size=4))
def test_one_more_beam_never_makes_the_difference_smaller(found):
    assert beam_difference(found) >= beam_difference(found[:-1]) - 1e-12
