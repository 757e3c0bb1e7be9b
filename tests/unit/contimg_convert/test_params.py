"""Parameters of convert: defaults that are consistent, bounds, and sentences for what is not understood."""

from __future__ import annotations

import math

import pytest

from contimg.errors import BadConfig
from contimg.models.spec import Scope, data_types, effective
from contimg_convert.params import SPEC, ConvertParams


def test_defaults_are_consistent():
    params = ConvertParams()
    assert params.degraded_flagged < params.failed_flagged
    assert params.rfi == "array"
    assert effective(SPEC, {}) == params.model_dump(mode="json")


def test_the_spec_has_a_home_and_says_what_enters_its_recipe():
    assert data_types()[SPEC.home].stage == SPEC.name == "convert"
    assert data_types()[SPEC.home].workspace == SPEC.workspace
    assert SPEC.scope is Scope.OBSERVATION
    assert [row.kind for row in SPEC.reference] == ["flags"]
    assert not SPEC.optional


def test_every_parameter_says_what_it_means():
    assert all(field.description for field in ConvertParams.model_fields.values())


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("rfi", "all", "Input should be 'array', 'aoflagger' or 'none'"),
        ("rfi_sigma", 0, "greater than 0"),
        ("mad_clip", -1, "greater than or equal to 0"),
        ("edge_fraction", 0.5, "less than 0.5"),
        ("edge_fraction", -0.01, "greater than or equal to 0"),
        ("dead_below", 1, "less than 1"),
        ("calibrator_min_jy", -1, "greater than or equal to 0"),
        ("calibrator_max_offset_deg", -1, "greater than or equal to 0"),
        ("degraded_flagged", 0, "greater than 0"),
        ("failed_flagged", 1.01, "less than or equal to 1"),
        ("min_antennas", -1, "greater than or equal to 0"),
        ("min_antennas", 3.5, "valid integer"),
        ("max_uvw_error_lambda", -0.1, "greater than or equal to 0"),
        ("max_position_error_m", -0.1, "greater than or equal to 0"),
        ("rfi_sigma", "six", "valid number"),
    ],
)
def test_a_value_outside_its_bounds_names_stage_parameter_and_value(field, value, words):
    with pytest.raises(BadConfig) as caught:
        effective(SPEC, {field: value})
    assert str(caught.value).startswith(f"stage 'convert', parameter '{field}' = {value!r}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("field", ["rfi_sigma", "mad_clip", "max_position_error_m"])
def test_numbers_without_a_digest_are_refused_where_they_are_given(field, value):
    with pytest.raises(BadConfig, match=f"parameter '{field}' = "):
        effective(SPEC, {field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("mad_clip", 0), ("edge_fraction", 0), ("dead_below", 0), ("min_antennas", 0), ("failed_flagged", 1)],
)
def test_a_bound_itself_is_allowed(field, value):
    assert effective(SPEC, {field: value})[field] == value


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("rfi_sigmas", "rfi_sigma"), ("edge_fractions", "edge_fraction"), ("min_antenna", "min_antennas")],
)
def test_an_unknown_parameter_is_told_with_the_nearest(wrong, right):
    with pytest.raises(BadConfig, match=f"stage 'convert' has no parameter '{wrong}'; did you mean '{right}'"):
        effective(SPEC, {wrong: 1})
