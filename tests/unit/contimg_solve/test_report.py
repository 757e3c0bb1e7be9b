from __future__ import annotations

import numpy as np
import pytest

from contimg.models.quality import Verdict
from contimg.radio.caltable import Field
from contimg_solve.calibration import Calibration, Flux
from contimg_solve.params import SolveParams
from contimg_solve.report import figures, table_entry
from contimg_solve.solution import Solution


def solution_of(flagged=0.0, phase_deg=0.0):
    rng = np.random.default_rng(1)
    shape = (1, 200, 2, 5)
    flag = rng.random(shape) < flagged
    gain = np.exp(1j * np.radians(phase_deg) * rng.normal(size=shape)).astype(np.complex64)
    snr = np.where(flag, 0, 20).astype(np.float32)
    return Solution(gain, flag, snr, np.ones(5, bool), np.array([1.0]), np.array([1.0]), ("f",))


def verdicts(bandpass, gains_flagged=0.0, age_h=1.0, **params):
    made = Calibration(
        names=tuple("12345"),
        reference="1",
        bandpass=bandpass,
        gains=solution_of(),
        gains_flagged=gains_flagged,
        fields=(),
        calibrator=Field("c", 0.0, 0.0),
        model_jy=3.0,
        age_h=age_h,
        fluxes={"1445+099": Flux(2.5, 0.01, 54)},
    )
    return {f.name: f for f in figures(made, SolveParams(**params))}


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        ("bandpass_flagged", {"bandpass": solution_of(0.4)}, Verdict.PASS),
        ("bandpass_flagged", {"bandpass": solution_of(0.6)}, Verdict.FAILED),
        ("bandpass_flagged", {"bandpass": solution_of(0.6), "failed_bandpass_flagged": 0.7}, Verdict.PASS),
        ("phase_scatter", {"bandpass": solution_of(phase_deg=20)}, Verdict.PASS),
        ("phase_scatter", {"bandpass": solution_of(phase_deg=45)}, Verdict.FAILED),
        ("gains_flagged", {"bandpass": solution_of(), "gains_flagged": 0.3}, Verdict.PASS),
        ("gains_flagged", {"bandpass": solution_of(), "gains_flagged": 0.31}, Verdict.DEGRADED),
        ("bandpass_age", {"bandpass": solution_of(), "age_h": 24.0}, Verdict.PASS),
        ("bandpass_age", {"bandpass": solution_of(), "age_h": 24.1}, Verdict.DEGRADED),
        ("bandpass_age", {"bandpass": solution_of(), "age_h": 721.0}, Verdict.FAILED),
        ("gains_flagged", {"bandpass": solution_of(), "gains_flagged": None}, Verdict.DEGRADED),
    ],
)
def test_limits(name, arguments, wanted):
    assert verdicts(**arguments)[f"solve.{name}"].verdict is wanted


def test_fluxes_are_figures_with_an_error():
    found = verdicts(solution_of())
    assert (found["solve.flux.1445+099"].value, found["solve.flux.1445+099"].unit) == (2.5, "Jy")
    assert found["solve.flux_error.1445+099"].value == 0.01
    assert found["solve.model_flux"].value == 3.0
    assert found["solve.snr"].value == 20


def test_entry_widens_the_time_range_by_the_window():
    entry = table_entry("bpcal", "p", "nearest", 100.0, 101.0, 1.0, origin_task="t", fields=["x"])
    assert entry == {
        "role": "bpcal",
        "path": "p",
        "interp": "nearest",
        "valid_mjd": [99.0, 102.0],
        "origin_task": "t",
        "fields": ["x"],
    }


def test_what_has_no_limit_passes_and_says_so():
    found = verdicts(solution_of())
    for name in ("snr", "model_flux", "gains_snr", "weak_members", "flux.1445+099", "flux_error.1445+099"):
        assert found[f"solve.{name}"].limit == ""
        assert found[f"solve.{name}"].verdict is Verdict.PASS


def test_age_is_a_figure_of_transits_only():
    assert "solve.bandpass_age" not in verdicts(solution_of(), age_h=None)
    assert verdicts(solution_of())["solve.bandpass_age"].unit == "h"


@pytest.mark.parametrize(("age_h", "wanted"), [(720.0, Verdict.DEGRADED), (720.1, Verdict.FAILED), (0.0, Verdict.PASS)])
def test_windows_of_the_age_are_inclusive(age_h, wanted):
    assert verdicts(solution_of(), age_h=age_h)["solve.bandpass_age"].verdict is wanted


def test_bandpass_without_any_solution_cannot_pass():
    found = verdicts(solution_of(flagged=1.1))
    assert found["solve.bandpass_flagged"].verdict is Verdict.FAILED
    assert found["solve.phase_scatter"].value is None
    assert found["solve.phase_scatter"].verdict is Verdict.DEGRADED


def test_every_figure_has_its_own_name_of_this_stage():
    found = verdicts(solution_of())
    assert len(found) == 10
    assert all(name.startswith("solve.") for name in found)


def test_entry_of_a_table_stands_for_itself_by_default():
    entry = table_entry("gpcal", "p", "linear", 5.0, 5.0, 0.0)
    assert (entry["origin_task"], entry["fields"], entry["valid_mjd"]) == (None, [], [5.0, 5.0])
