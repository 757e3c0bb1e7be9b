"""Stage apply against CASA's applycal on the same tables, and its weights against the noise that was put in."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from casacore.tables import table
from gain_bench import ANTENNAS, applied, applycal, draw_gains, scan_runs, simulated, solved

from contimg.instruments.dsa110.simulate.config import preset

pytestmark = [pytest.mark.science, pytest.mark.casa]

ROLES = {"p": "bandpass", "s1": "gain", "s2": "gain"}
NO_FILLING = "nearest,nearestflag"
"""Else CASA interpolates over flagged channels of a bandpass; what is unsolved stays flagged here."""
SCANS = {"strategy": "calibrator-scans", "min_uv_wavelengths": 0, "reference_antennas": ("2",)}


def compare(path, raw, run, base, interp, gainfield):
    """Apply with CASA what the record names; data that both keep must agree to 1e-5 of the largest."""
    copy = base / "casa.ms"
    shutil.copytree(raw.product("raw_ms"), copy)
    record = json.loads(next(run.path.glob("*_calsel.json")).read_text())
    tables = [str(run.path / entry["path"]) for entry in record["tables"]]
    arguments = {"vis": str(copy), "gaintable": tables, "interp": interp, "gainfield": gainfield}
    theirs, their_flags = applycal(copy, json.dumps(arguments))
    with table(str(path), ack=False) as opened:
        ours, flags = opened.getcol("DATA"), opened.getcol("FLAG")
    np.testing.assert_array_equal(flags, their_flags)
    good = ~flags
    assert good.mean() > 0.3
    assert np.abs(ours - theirs)[good].max() < 1e-5 * np.abs(theirs[good]).max()
    return flags.mean()


def spoil(run, role, rows):
    """Flag some solutions of a table."""
    with table(str(run.path / f"g1_{role}"), readonly=False, ack=False) as opened:
        flag = opened.getcol("FLAG")
        for antenna, scan, hand in rows:
            hit = (opened.getcol("ANTENNA1") == antenna) & (opened.getcol("SCAN_NUMBER") == scan)
            flag[hit, :, hand] = True
        opened.putcol("FLAG", flag)


@pytest.mark.parametrize("interp", ["linear", "nearest"])
def test_scans_equal_applycal_with_flagged_solutions(tmp_path, interp):
    rng = np.random.default_rng(3)
    drift = np.exp(1j * rng.uniform(-3, 3, (4, 1, 2, ANTENNAS))) * rng.uniform(0.8, 1.2, (4, 1, 2, ANTENNAS))
    runs = scan_runs(tmp_path, bandpass=draw_gains(5), drift=drift, noise=0.3)
    _, run = solved(tmp_path / "solve", runs.values(), ROLES, **SCANS)
    spoil(run, "gpcal", [(3, 2, 0), (5, 3, 1)])
    spoil(run, "bpcal", [(6, 1, 0)])
    record = run.path / "g1_calsel.json"
    content = json.loads(record.read_text())
    content["tables"][1]["interp"] = interp
    record.write_text(json.dumps(content))
    _, path = applied(tmp_path / "apply", runs["t"], run, clip_mad=0)
    flagged = compare(path, runs["t"], run, tmp_path, [NO_FILLING, interp], ["", "1445+099"])
    assert 0.05 < flagged < 0.6


@pytest.fixture(scope="module")
def drift(tmp_path_factory):
    base = tmp_path_factory.mktemp("drift")
    config = preset("tiny", channels_per_subband=8, drawn=None, integrations=8)
    return *simulated(base, config), base


def test_drift_scan_equals_applycal_and_weights_are_the_noise(drift, tmp_path):
    truth, raw, runs, _ = drift
    reference = {"catalog:truth": raw / "catalog.ecsv"}
    _, run = solved(tmp_path / "solve", runs, reference=reference, min_uv_wavelengths=0, min_snr=2)
    result, path = applied(tmp_path / "apply", runs[0], run, clip_mad=0)
    compare(path, runs[0], run, tmp_path, [NO_FILLING, "nearest"], ["", ""])
    with table(str(path), ack=False) as opened:
        weight, first, second = (opened.getcol(n) for n in ("WEIGHT", "ANTENNA1", "ANTENNA2"))
    with table(f"{path}::ANTENNA", ack=False) as antennas:
        names = np.array(antennas.getcol("NAME"))
    cross = (first != second)[:, None] & (weight > 0)
    z = np.load(raw / "gains.npz")
    amplitude = dict(zip([str(s) for s in z["stations"]], np.abs(z["bandpass"]).mean(2) ** 2, strict=True))
    power = np.array([amplitude[a] * amplitude[b] for a, b in zip(names[first], names[second], strict=True)])
    # the noise in Jy is the same for all baselines whatever their gains
    assert np.median(weight[cross]) == pytest.approx(1 / truth.noise_jy**2, rel=0.1)
    assert np.std(np.log(weight[cross])) < 0.25
    assert np.std(np.log(power[cross])) > 0.3
    noise = next(f for f in result.figures if f.name == "apply.noise").value
    assert noise == pytest.approx(truth.noise_jy, rel=0.1)
