"""The rules of a group as parameters."""

from __future__ import annotations

import pytest

from contimg.errors import BadConfig
from contimg.models.spec import Scope, data_types, effective
from contimg.models.survey import GroupRules
from contimg_group.params import SPEC, GroupParams


def test_defaults_are_those_by_which_a_survey_forms_groups():
    params, rules = GroupParams(), GroupRules()
    assert params.min_size == rules.min_size
    assert params.max_gap_s == rules.max_gap_s
    assert params.max_span_min == rules.max_span_min
    assert params.max_dec_offset_deg == rules.dec_tolerance_deg


def test_the_spec_has_its_home():
    assert (SPEC.scope, data_types()[SPEC.home].stage) == (Scope.GROUP, "group")
    assert data_types()[SPEC.home].workspace == SPEC.workspace


@pytest.mark.parametrize("field", list(GroupParams.model_fields))
def test_no_rule_is_negative_and_zero_is_allowed(field):
    assert effective(SPEC, {field: 0})[field] == 0
    with pytest.raises(BadConfig, match=f"stage 'group', parameter '{field}' = -1: .* greater than or equal to 0"):
        effective(SPEC, {field: -1})


@pytest.mark.parametrize("field", ["max_gap_s", "max_span_min", "max_dec_offset_deg"])
def test_a_rule_is_a_finite_number(field):
    with pytest.raises(BadConfig, match="finite number"):
        effective(SPEC, {field: float("inf")})


def test_an_unknown_rule_is_told_with_the_nearest():
    with pytest.raises(BadConfig, match="has no parameter 'max_gap'; did you mean 'max_gap_s'"):
        effective(SPEC, {"max_gap": 1})
