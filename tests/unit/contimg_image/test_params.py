from __future__ import annotations

import pytest

from contimg.errors import BadConfig
from contimg.models.params import effective, load
from contimg.radio.beams import BEAM_MODELS
from contimg.stage.base import Stage
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
