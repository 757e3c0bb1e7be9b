"""Every limit of the parameters of stage crossmatch, on both of its sides."""

import pytest

from contimg.errors import BadConfig
from contimg.models.spec import Scope, effective, load
from contimg.stage import Stage
from contimg_crossmatch.params import SPEC, CrossmatchParams

LIMITS = [  # field, values at the limit that are allowed, values beyond that are not
    ("enabled", [True, False], ["perhaps"]),
    ("threshold_sigma", [3, 100], [2.999, 100.1]),
    ("island_sigma", [2, 100], [1.999, 100.1]),
    ("background_beams", [5, 500], [4.999, 500.1]),
    ("resolved_sigma", [1e-6, 20], [0, 20.1]),
    ("flux_scale_error", [0, 0.5], [-1e-9, 0.501]),
    ("radius_arcsec", [1e-6, 600], [0, 600.1]),
    ("spectral_index", [-5, 5], [-5.001, 5.001]),
    ("anchor_flux_jy", [1e-6], [0]),
    ("completeness_sigma", [3, 1000], [2.999, 1000.1]),
    ("min_anchors", [0], [-1, 2.5]),
    ("degraded_flux_ratio", [[0.9, 1.1]], [[0.9], [0.9, 1.0, 1.1], "wide"]),
    ("failed_flux_ratio", [[0.9, 1.1]], [[0.9], [0.9, 1.0, 1.1], "wide"]),
    ("degraded_offset_arcsec", [1e-6], [0]),
    ("failed_offset_arcsec", [1e-6], [0]),
    ("min_completeness", [0, 1], [-1e-9, 1.001]),
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, good, _ in LIMITS for value in good])
def test_limit_itself_is_allowed(name, value):
    assert effective(SPEC, {name: value})[name] == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, _, bad in LIMITS for value in bad])
def test_beyond_the_limit_is_refused_with_its_name(name, value):
    with pytest.raises(BadConfig, match=f"stage 'crossmatch', parameter '{name}"):
        effective(SPEC, {name: value})


def test_limits_are_tried_for_every_field_and_all_are_documented():
    assert {name for name, _, _ in LIMITS} == set(CrossmatchParams.model_fields)
    assert all(field.description for field in CrossmatchParams.model_fields.values())


def test_failing_is_worse_than_degrading():
    params = CrossmatchParams()
    assert params.failed_flux_ratio[0] < params.degraded_flux_ratio[0] < 1
    assert 1 < params.degraded_flux_ratio[1] < params.failed_flux_ratio[1]
    assert params.degraded_offset_arcsec < params.failed_offset_arcsec
    assert params.island_sigma < params.threshold_sigma < params.completeness_sigma


def test_spec_leads_to_the_stage_which_may_be_left_out():
    assert issubclass(load(SPEC.runner), Stage)
    assert (SPEC.name, SPEC.scope, SPEC.home, SPEC.optional) == ("crossmatch", Scope.GROUP, "catalog", True)
    assert [item.kind for item in SPEC.reference] == ["catalog"]
