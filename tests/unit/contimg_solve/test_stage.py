from __future__ import annotations

import json

import numpy as np
import pytest
from gain_bench import ANTENNAS, draw_gains, scan_runs, solved

from contimg.errors import BadInput, DataQuality
from contimg.models.quality import Verdict
from contimg.radio import caltable
from contimg_solve.solution import Solution

ROLES = {"p": "bandpass", "s1": "gain", "s2": "gain"}
SCANS = {"strategy": "calibrator-scans", "min_uv_wavelengths": 0, "reference_antennas": ("2",)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    drift = np.ones((4, 1, 2, ANTENNAS))
    return scan_runs(tmp_path_factory.mktemp("runs"), bandpass=draw_gains(5), drift=drift, noise=0.05)


@pytest.fixture(scope="module")
def made(runs, tmp_path_factory):
    return solved(tmp_path_factory.mktemp("work") / "w", runs.values(), ROLES, **SCANS)


def figure(result, name):
    return next(f for f in result.figures if f.name == name)


def test_products_have_the_names_of_the_contract(made):
    result, run = made
    assert [(p.role, p.path, p.names) for p in result.products] == [
        ("bpcal", "g1_bpcal", ("2026-01-25/g1_bpcal",)),
        ("gpcal", "g1_gpcal", ("2026-01-25/g1_gpcal",)),
        ("calsel", "g1_calsel.json", ("2026-01-25/g1_calsel.json",)),
    ]
    assert sorted(p.name for p in run.path.iterdir()) == ["g1_bpcal", "g1_calsel.json", "g1_gpcal"]


def test_record_says_how_to_apply_the_tables(made, runs):
    result, run = made
    record = json.loads((run.path / "g1_calsel.json").read_text())
    assert record == json.loads(json.dumps(result.info))
    assert (record["mode"], record["calibrator"], record["reference_antenna"]) == ("scans", "1331+305", "2")
    band, gain = record["tables"]
    assert (band["interp"], band["fields"]) == ("nearest", ["1331+305"])
    assert (gain["interp"], gain["fields"], gain["origin_task"]) == ("linear", ["1445+099"], None)
    hours = (gain["valid_mjd"][1] - gain["valid_mjd"][0]) * 24
    assert hours == pytest.approx(24 + 400 / 3600, abs=0.01)


def test_figures_are_measured_and_pass(made):
    result, _ = made
    assert figure(result, "solve.flux.1445+099").value == pytest.approx(2.5, rel=0.01)
    assert 0 < figure(result, "solve.flux_error.1445+099").value < 0.03
    assert figure(result, "solve.model_flux").value == pytest.approx(15.07, rel=0.01)
    assert figure(result, "solve.bandpass_flagged").value == 0
    assert figure(result, "solve.phase_scatter").value < 1
    assert all(f.verdict is Verdict.PASS for f in result.figures)


def test_targets_among_the_inputs_are_not_solved_on(made):
    _, run = made
    gains: Solution = Solution.from_table(caltable.read(run.path / "g1_gpcal"), ("1",))
    assert gains.fields == ("1331+305", "1445+099", "1445+099")


def test_by_hand_calibrators_are_known_by_place(runs, made, tmp_path):
    bare = [type(run)(run.path, run.manifest.model_copy(update={"info": {}})) for run in runs.values()]
    result, _ = solved(tmp_path / "w", bare, **SCANS)
    assert figure(result, "solve.flux.1445+099").value == figure(made[0], "solve.flux.1445+099").value


def test_group_without_calibrators_is_refused(runs, tmp_path):
    with pytest.raises(BadInput, match="no calibrator scans"):
        solved(tmp_path / "w", [runs["t"]], {}, **SCANS)


def test_limits_are_parameters(runs, tmp_path):
    result, _ = solved(tmp_path / "w", runs.values(), ROLES, failed_phase_scatter_deg=1e-3, **SCANS)
    assert figure(result, "solve.phase_scatter").verdict is Verdict.FAILED


def test_bandpass_without_any_solution_is_a_matter_of_data_quality(runs, tmp_path):
    with pytest.raises(DataQuality, match="min_snr = 100000"):
        solved(tmp_path / "w", runs.values(), ROLES, min_snr=1e5, **SCANS)
