"""Every limit of the parameters of stage apply, on both of its sides."""

from __future__ import annotations

import pytest

from contimg.errors import BadConfig
from contimg.models.spec import Scope, effective, load
from contimg.stage import Stage
from contimg_apply.params import SPEC, ApplyParams


def test_defaults_are_those_of_the_contract():
    assert ApplyParams().model_dump() == {"clip_mad": 7.0, "failed_flagged": 0.6}


@pytest.mark.parametrize(("name", "value"), [("clip_mad", 0), ("failed_flagged", 0), ("failed_flagged", 1)])
def test_limit_itself_is_allowed(name, value):
    assert effective(SPEC, {name: value})[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("clip_mad", -1e-9), ("failed_flagged", -1e-9), ("failed_flagged", 1.0001), ("clip_mad", "seven")],
)
def test_beyond_the_limit_is_refused_with_name_and_value(name, value):
    with pytest.raises(BadConfig) as caught:
        effective(SPEC, {name: value})
    assert f"stage 'apply', parameter '{name}' = {value!r}" in str(caught.value)


def test_misspelt_parameter_offers_the_nearest():
    with pytest.raises(BadConfig, match="did you mean 'clip_mad'"):
        effective(SPEC, {"clip_mads": 3})


def test_spec_leads_to_the_stage():
    assert issubclass(load(SPEC.runner), Stage)
    assert (SPEC.name, SPEC.scope, SPEC.home) == ("apply", Scope.OBSERVATION, "calibrated_ms")
