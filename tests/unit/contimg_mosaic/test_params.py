"""Every limit of the parameters of stage mosaic, on both of its sides."""

import pytest

from contimg.errors import BadConfig
from contimg.models.spec import Scope, effective, load
from contimg.stage import Stage
from contimg_mosaic.params import SPEC, MosaicParams

LIMITS = [  # field, values at the limit that are allowed, values beyond that are not
    ("method", ["auto", "pbweight", "coadd"], ["mean", ""]),
    ("one_pointing_fwhm", [0, 1], [-1e-9, 1.001]),
    ("pb_floor", [1e-6, 0.999], [0, 1]),
    ("cell_arcsec", [0, 600], [-1e-9, 600.1]),
    ("max_beam_difference", [1e-6, 10], [0, 10.001]),
    ("min_member_fraction", [0, 1], [-1e-9, 1.001]),
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, good, _ in LIMITS for value in good])
def test_limit_itself_is_allowed(name, value):
    assert effective(SPEC, {name: value})[name] == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, _, bad in LIMITS for value in bad])
def test_beyond_the_limit_is_refused_with_name_and_value(name, value):
    with pytest.raises(BadConfig) as caught:
        effective(SPEC, {name: value})
    assert f"stage 'mosaic', parameter '{name}' = {value!r}" in str(caught.value)


def test_limits_are_tried_for_every_field_and_all_are_documented():
    assert {name for name, _, _ in LIMITS} == set(MosaicParams.model_fields)
    assert all(field.description for field in MosaicParams.model_fields.values())


def test_defaults_are_those_of_the_contract():
    params = MosaicParams()
    assert (params.method.value, params.pb_floor, params.cell_arcsec) == ("auto", 0.2, 0.0)
    assert (params.max_beam_difference, params.min_member_fraction) == (1.0, 0.5)


def test_spec_leads_to_the_stage():
    assert issubclass(load(SPEC.runner), Stage)
    assert (SPEC.name, SPEC.scope, SPEC.home) == ("mosaic", Scope.GROUP, "mosaic")
