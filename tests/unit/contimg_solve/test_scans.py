from __future__ import annotations

import numpy as np
import pytest
from casacore.tables import table
from gain_bench import ANTENNAS, FREQS, SECONDARY, draw_gains, scan_runs, write_scan

from contimg.errors import BadInput
from contimg.radio.ms.read import open_recording
from contimg_solve.calibration import Flux
from contimg_solve.params import SolveParams
from contimg_solve.scans import _rescaled, band_bins, fluxes, scans_of, solve_scans
from contimg_solve.solution import Solution

PARAMS = SolveParams(strategy="calibrator-scans", min_uv_wavelengths=0, reference_antennas=("2",))


def drifts(seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.95, 1.05, (4, 1, 2, ANTENNAS)) * np.exp(1j * rng.uniform(-1, 1, (4, 1, 2, ANTENNAS)))


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    bandpass, drift = draw_gains(5), drifts(6)
    drift[:, :, :, :] /= np.abs(drift).mean(axis=-1, keepdims=True)
    runs = scan_runs(tmp_path_factory.mktemp("scans"), bandpass=bandpass, drift=drift)
    scans = scans_of([open_recording(runs[u].product("raw_ms"), u) for u in ("p", "s1", "s2")], PARAMS)
    seen = []
    return bandpass, drift, scans, solve_scans(scans, PARAMS, lambda *a: seen.append(a)), seen


def test_calibrators_are_known_by_place(solved):
    _, _, scans, _, _ = solved
    assert [(s.field.name, s.primary) for s in scans] == [("1331+305", True), ("1445+099", False), ("1445+099", False)]
    assert scans[0].flux_jy.mean() == pytest.approx(15.07, rel=0.01)
    assert scans[1].flux_jy.mean() == pytest.approx(1.0, rel=1e-3)


def test_bandpass_is_that_of_the_primary_scan(solved):
    bandpass, drift, _, made, _ = solved
    ratio = made.bandpass.gain[0] / (bandpass * drift[0])
    ratio = ratio / ratio[..., :1]
    np.testing.assert_allclose(ratio, 1, atol=1e-4)
    np.testing.assert_allclose(np.abs(made.bandpass.gain[0]), np.abs(bandpass * drift[0]), rtol=1e-4)


def test_gains_of_each_scan_are_the_drift_against_the_primary_scan(solved):
    _, drift, _, made, _ = solved
    for slot, scan in enumerate((0, 1, 3)):
        wanted = (drift[scan] / drift[0])[0]
        ratio = made.gains.gain[slot, 0] / wanted
        np.testing.assert_allclose(ratio / ratio[:, :1], 1, atol=2e-3)
    assert made.gains.fields == ("1331+305", "1445+099", "1445+099")
    assert made.reference == "2"
    np.testing.assert_allclose(np.angle(made.gains.gain[..., 1]), 0, atol=1e-5)


def test_flux_of_the_secondary_is_free_and_right(solved):
    # Antenna gains that wander between scans cannot be told from a flux; their mean is 1 here.
    _, _, _, made, _ = solved
    assert made.fluxes["1445+099"].flux_jy == pytest.approx(2.5, rel=0.03)
    assert made.fluxes["1445+099"].solutions == 2 * ANTENNAS


def test_without_wander_the_flux_is_exact(tmp_path):
    runs = scan_runs(tmp_path, bandpass=draw_gains(5), drift=np.ones((4, 1, 2, ANTENNAS)), flux=3.21)
    scans = scans_of([open_recording(runs[u].product("raw_ms"), u) for u in ("p", "s1", "s2")], PARAMS)
    made = solve_scans(scans, PARAMS)
    assert made.fluxes["1445+099"].flux_jy == pytest.approx(3.21, rel=2e-4)
    np.testing.assert_allclose(np.abs(made.gains.gain), 1, atol=1e-3)


def test_several_scans_of_the_primary_are_brought_to_one_phase(tmp_path):
    bandpass, drift = draw_gains(5), np.exp(1j * np.random.default_rng(1).uniform(-3, 3, (4, 1, 2, ANTENNAS)))
    a = scan_runs(tmp_path, bandpass=bandpass, drift=drift)
    (tmp_path / "again").mkdir()
    b = scan_runs(tmp_path / "again", bandpass=bandpass, drift=drift[::-1])
    scans = scans_of([open_recording(r["p"].product("raw_ms")) for r in (a, b)], PARAMS)
    made = solve_scans(scans, PARAMS)
    np.testing.assert_allclose(np.abs(made.bandpass.gain[0]), np.abs(bandpass), rtol=1e-3)


def test_progress_is_reported(solved):
    assert [entry[:2] for entry in solved[4]] == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_a_group_without_primary_is_refused(tmp_path):
    ones = np.ones((len(FREQS), 2, ANTENNAS))
    path = write_scan(tmp_path / "s.ms", "x", SECONDARY, [(*SECONDARY, 1.0)], ones)
    with pytest.raises(BadInput, match=r"Perley-Butler 2017 source \(found 1445\+099\)"):
        scans_of([open_recording(path)], PARAMS)


def test_edges_are_left_out_of_band_averages():
    assert band_bins(10, 0.2).tolist() == [-1, -1, 0, 0, 0, 0, 0, 0, -1, -1]
    assert band_bins(10, 0.0).tolist() == [0] * 10


def test_fluxes_ignore_an_outlying_antenna_and_flagged_gains():
    rng = np.random.default_rng(8)
    gain = np.ones((2, 1, 2, 20)) * rng.uniform(0.5, 2, 20)
    gain[1] *= np.sqrt(4.0) * (1 + 0.005 * rng.normal(size=(1, 2, 20)))
    gain[1, 0, 0, 3], gain[1, 0, 1, 7] = 9, 9
    flag = np.zeros(gain.shape, bool)
    flag[1, 0, 1, 7] = True
    made = Solution(gain, flag, gain, np.ones(20, bool), np.arange(2.0), np.ones(2), ("p", "s"))
    found = fluxes(made, "p", {"s", "never seen"})
    assert list(found) == ["s"]
    assert found["s"].solutions == 38
    assert found["s"].flux_jy == pytest.approx(4.0, abs=4 * found["s"].error_jy)
    assert found["s"].error_jy == pytest.approx(4 * 0.01 / np.sqrt(38), rel=0.4)


def test_a_scan_without_data_is_left_out(tmp_path):
    runs = scan_runs(tmp_path, bandpass=draw_gains(5), drift=np.ones((4, 1, 2, ANTENNAS)))
    with table(str(tmp_path / "s1.ms"), readonly=False, ack=False) as main:
        main.putcol("FLAG", np.ones((main.nrows(), len(FREQS), 2), bool))
    made = solve_scans(
        scans_of([open_recording(runs[u].product("raw_ms"), u) for u in ("p", "s1", "s2")], PARAMS), PARAMS
    )
    assert made.gains.fields == ("1331+305", "1445+099")
    assert made.fluxes["1445+099"].flux_jy == pytest.approx(2.5, rel=1e-3)


def test_source_of_unknown_flux_gives_no_gains():
    gain = np.full((2, 1, 2, 4), 2.0, np.complex64)
    made = Solution(
        gain, np.zeros(gain.shape, bool), gain.real, np.ones(4, bool), np.arange(2.0), np.ones(2), ("p", "s")
    )
    scaled = _rescaled(made, {}, {"s"})
    assert scaled.flag[1].all()
    assert not scaled.flag[0].any()
    scaled = _rescaled(made, {"s": Flux(4.0, 0.1, 8)}, {"s"})
    assert scaled.gain[:, 0, 0, 0].real.tolist() == [2, 1]
