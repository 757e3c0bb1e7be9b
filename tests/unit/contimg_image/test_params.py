from __future__ import annotations

import pytest

from contimg.errors import BadConfig
from contimg.models.spec import effective, load
from contimg.radio.beams import BEAM_MODELS
from contimg.stage import Stage
from contimg_image.params import SPEC, ImageParams


def test_defaults_are_those_of_the_contract():
    params = ImageParams()
    assert (params.cell_arcsec, params.size, params.weighting, params.robust) == (3.0, 4800, "briggs", 0.0)
    assert (params.auto_mask_sigma, params.threshold_sigma, params.min_uv_lambda) == (5.0, 1.0, 0.0)
    assert (params.degraded_dynamic_range, params.failed_dynamic_range) == (100.0, 30.0)


def test_every_field_is_documented():
    assert all(field.description for field in ImageParams.model_fields.values())


def test_beam_models_are_those_of_the_library():
    assert set(ImageParams.model_fields["beam_model"].annotation.__args__) == set(BEAM_MODELS)


def test_spec_leads_to_the_stage():
    assert issubclass(load(SPEC.runner), Stage)
    assert SPEC.params is ImageParams


@pytest.mark.parametrize(("name", "value"), [("gain", 0), ("size", 16), ("robust", 3), ("backend", "casa")])
def test_wrong_values_are_refused(name, value):
    with pytest.raises(BadConfig, match=name):
        effective(SPEC, {name: value})


def test_misspelt_parameter_offers_the_nearest():
    with pytest.raises(BadConfig, match="cell_arcsec"):
        effective(SPEC, {"cell_arcse": 3})


LIMITS = [  # field, values at the limit that are allowed, values beyond that are not
    ("backend", ["ducc", "wsclean", "tclean"], ["casa"]),
    ("cell_arcsec", [1e-6], [0]),
    ("size", [32, 32768], [31, 32769, 64.5]),
    ("margin", [0, 1], [-1e-9, 1.001]),
    ("weighting", ["briggs", "uniform", "natural"], ["robust"]),
    ("robust", [-2, 2], [-2.001, 2.001]),
    ("min_uv_lambda", [0], [-1e-9]),
    ("channels", ["", "4~6;50"], [4]),
    ("channel_average", [0], [-1]),
    ("deconvolver", ["clark", "multiscale"], ["hogbom"]),
    ("scales_arcsec", [[], [0.0, 30.0]], [["wide"], 3]),
    ("auto_mask_sigma", [0], [-1e-9]),
    ("threshold_sigma", [0], [-1e-9]),
    ("threshold_jy", [0], [-1e-9]),
    ("max_iterations", [0], [-1]),
    ("max_majors", [1], [0]),
    ("gain", [1e-6, 1], [0, 1.001]),
    ("major_gain", [1e-6, 0.999], [0, 1]),
    ("epsilon", [2e-5, 1e-2], [1.9e-5, 1.1e-2]),
    ("restoring_beam_arcsec", [0], [-1e-9]),
    ("beam", ["ellipse", "circle"], ["round"]),
    ("beam_model", list(BEAM_MODELS), ["vla"]),
    ("follow_beam", [True, False], ["perhaps"]),
    ("pb_floor", [1e-6, 0.999], [0, 1]),
    ("degraded_dynamic_range", [0], [-1e-9]),
    ("failed_dynamic_range", [0], [-1e-9]),
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, good, _ in LIMITS for value in good])
def test_limit_itself_is_allowed(name, value):
    assert effective(SPEC, {name: value})[name] == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, _, bad in LIMITS for value in bad])
def test_beyond_the_limit_is_refused_with_its_name(name, value):
    with pytest.raises(BadConfig, match=f"stage 'image', parameter '{name}"):
        effective(SPEC, {name: value})


def test_limits_are_tried_for_every_field():
    assert {name for name, _, _ in LIMITS} == set(ImageParams.model_fields)


def test_failing_is_worse_than_degrading():
    assert ImageParams().failed_dynamic_range < ImageParams().degraded_dynamic_range
