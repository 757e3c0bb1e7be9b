"""Every limit of the parameters of stage solve, on both of its sides."""

from __future__ import annotations

import pytest

from contimg.errors import BadConfig
from contimg.models.spec import Scope, effective, load
from contimg.radio.beams import BEAM_MODELS
from contimg.stage import Stage
from contimg_solve.params import SPEC, SolveParams

LIMITS = [  # field, values at the limit that are allowed, values beyond that are not
    ("min_uv_wavelengths", [0], [-1e-9]),
    ("min_snr", [0], [-1e-9]),
    ("min_baselines", [2], [1, 2.5]),
    ("fill_gaps", [0], [-1]),
    ("noisy_factor", [1.0001], [1, 0]),
    ("edge_fraction", [0, 0.4999], [-1e-9, 0.5]),
    ("min_model_mjy", [0], [-1e-9]),
    ("max_sources", [1], [0]),
    ("short_phase_s", [1e-3], [0]),
    ("bandpass_window_h", [1e-3], [0]),
    ("borrowed_window_d", [1e-3], [0]),
    ("bandpass_max_dec_offset_deg", [1e-3], [0]),
    ("scan_window_h", [1e-3], [0]),
    ("degraded_gains_flagged", [0, 1], [-1e-9, 1.0001]),
    ("failed_bandpass_flagged", [0, 1], [-1e-9, 1.0001]),
    ("failed_phase_scatter_deg", [1e-3], [0]),
    ("strategy", ["transit", "calibrator-scans"], ["scan", ""]),
    ("backend", ["stefcal", "casa"], ["CASA", ""]),
    ("beam", list(BEAM_MODELS), ["vla"]),
    ("short_phase", [True, False], ["perhaps"]),
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, good, _ in LIMITS for value in good])
def test_limit_itself_is_allowed(name, value):
    assert effective(SPEC, {name: value})[name] == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, _, bad in LIMITS for value in bad])
def test_beyond_the_limit_is_refused_with_name_and_value(name, value):
    with pytest.raises(BadConfig) as caught:
        effective(SPEC, {name: value})
    assert f"stage 'solve', parameter '{name}' = {value!r}" in str(caught.value)


def test_limits_are_tried_for_every_field():
    free = {"reference_antennas", "spectral_index"}
    assert {name for name, _, _ in LIMITS} | free == set(SolveParams.model_fields)


def test_defaults_are_those_of_the_contract():
    params = SolveParams()
    assert (params.strategy, params.backend, params.beam) == ("transit", "stefcal", "airy")
    assert (params.min_uv_wavelengths, params.min_snr, params.min_baselines) == (1000.0, 5.0, 4)
    assert (params.bandpass_window_h, params.borrowed_window_d, params.scan_window_h) == (24.0, 30.0, 12.0)
    assert (params.degraded_gains_flagged, params.failed_bandpass_flagged) == (0.3, 0.5)
    assert params.bandpass_max_dec_offset_deg == 1.0
    assert params.reference_antennas[0] == "103"
    assert len(set(params.reference_antennas)) == len(params.reference_antennas)


def test_a_number_for_the_name_of_an_antenna_is_refused():
    with pytest.raises(BadConfig, match="reference_antennas"):
        effective(SPEC, {"reference_antennas": [103]})


def test_spec_leads_to_the_stage():
    assert issubclass(load(SPEC.runner), Stage)
    assert (SPEC.name, SPEC.scope, SPEC.home) == ("solve", Scope.GROUP, "calibration_table")
    assert [item.kind for item in SPEC.reference] == ["catalog"]


def test_every_field_is_documented():
    assert all(field.description for field in SolveParams.model_fields.values())
