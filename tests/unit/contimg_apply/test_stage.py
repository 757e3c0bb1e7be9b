from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from casacore.tables import table
from gain_bench import ANTENNAS, applied, draw_gains, scan_runs, solved

from contimg.errors import BadInput
from contimg.models.quality import Verdict
from contimg.radio.ms.edit import copy
from contimg.radio.ms.read import open_recording
from contimg.stage import Run
from contimg_apply.calibrate import calibrate

NOISE = 0.2


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    base = tmp_path_factory.mktemp("apply")
    rng = np.random.default_rng(2)
    drift = np.exp(1j * rng.uniform(-0.5, 0.5, (1, 1, 2, ANTENNAS))) ** np.arange(4)[:, None, None, None]
    runs = scan_runs(base, bandpass=draw_gains(5), drift=drift, noise=NOISE)
    roles = {"p": "bandpass", "s1": "gain", "s2": "gain"}
    params = {"strategy": "calibrator-scans", "min_uv_wavelengths": 0}
    _, calibration = solved(base / "solve", runs.values(), roles, **params)
    return runs, calibration


def figure(result, name):
    return next(f for f in result.figures if f.name == name)


def columns(path, *names):
    with table(str(path), ack=False) as opened:
        return [opened.getcol(name) for name in names]


def changed(calibration, tmp_path, change):
    """A copy of a calibration with another record."""
    shutil.copytree(calibration.path, tmp_path / "cal")
    record = tmp_path / "cal" / "g1_calsel.json"
    content = json.loads(record.read_text())
    change(content)
    record.write_text(json.dumps(content))
    return Run(tmp_path / "cal", calibration.manifest)


def test_target_comes_out_in_jansky_with_its_noise(case, tmp_path):
    runs, calibration = case
    result, path = applied(tmp_path / "w", runs["t"], calibration)
    data, flag, weight, sigma = columns(path, "DATA", "FLAG", "WEIGHT", "SIGMA")
    # phases drift linearly in time, so the interpolated gains are right: a 1 Jy point at the centre is left
    assert data[~flag].mean() == pytest.approx(1.0, abs=0.02)
    assert data[~flag].imag.std() == pytest.approx(NOISE, rel=0.1)
    np.testing.assert_allclose(weight, 1 / NOISE**2, rtol=0.35)
    np.testing.assert_allclose(sigma, weight**-0.5, rtol=1e-5)
    assert figure(result, "apply.noise").value == pytest.approx(NOISE, rel=0.1)
    assert all(f.verdict is Verdict.PASS for f in result.figures)


def test_product_is_named_like_its_raw_one_and_holds_no_scratch_columns(case, tmp_path):
    runs, calibration = case
    result, path = applied(tmp_path / "w", runs["t"], calibration)
    (draft,) = result.products
    assert (draft.type, draft.path, draft.names) == ("calibrated_ms", "t_cal.ms", ("science/2026-01-25/t_cal.ms",))
    with table(str(path), ack=False) as opened, table(str(runs["t"].product("raw_ms")), ack=False) as raw:
        assert not {"MODEL_DATA", "CORRECTED_DATA"} & set(opened.colnames())
        for name in ("UVW", "TIME", "ANTENNA1", "INTERVAL", "EXPOSURE"):
            np.testing.assert_array_equal(opened.getcol(name), raw.getcol(name))
    assert result.info["calibration"] == {"mode": "scans", "calibrator": "1331+305", "task": calibration.manifest.task}


def test_input_is_not_touched(case, tmp_path):
    runs, calibration = case
    before = columns(runs["t"].product("raw_ms"), "DATA", "FLAG", "WEIGHT")
    applied(tmp_path / "w", runs["t"], calibration)
    for old, new in zip(before, columns(runs["t"].product("raw_ms"), "DATA", "FLAG", "WEIGHT"), strict=True):
        np.testing.assert_array_equal(old, new)


def test_blocks_of_rows_make_no_difference(case, tmp_path):
    runs, _ = case
    made = []
    for size in (1 << 30, 9_000):
        path = tmp_path / f"{size}.ms"
        copy(runs["t"].product("raw_ms"), path)
        recording = open_recording(path)
        gain = draw_gains(5)[None].repeat(len(recording.times_s), 0).astype(np.complex64)
        made.append((calibrate(recording, gain, 7.0, block_bytes=size), *columns(path, "DATA", "FLAG", "WEIGHT")))
    assert made[0][0] == made[1][0]
    for one, other in zip(made[0][1:], made[1][1:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_outlier_is_clipped_and_counted(case, tmp_path):
    runs, calibration = case
    path = tmp_path / "t.ms"
    copy(runs["t"].product("raw_ms"), path)
    with table(str(path), readonly=False, ack=False) as opened:
        data = opened.getcol("DATA")
        data[7, 5, 1] *= 50
        opened.putcol("DATA", data)
    raw = Run(tmp_path, runs["t"].manifest)
    result, made = applied(tmp_path / "w", raw, calibration)
    (flag,) = columns(made, "FLAG")
    assert flag[7, 5, 1]
    assert 1 <= figure(result, "apply.clipped").value * flag.size <= 3
    result, made = applied(tmp_path / "v", raw, calibration, clip_mad=0)
    assert not columns(made, "FLAG")[0].any()


def test_limits(case, tmp_path):
    runs, calibration = case

    def long_ago(content):
        content["tables"][1]["valid_mjd"] = [0.0, 1.0]

    result, _ = applied(tmp_path / "w", runs["t"], changed(calibration, tmp_path, long_ago))
    assert figure(result, "apply.outside_window").verdict is Verdict.FAILED
    with table(str(tmp_path / "cal" / "g1_gpcal"), readonly=False, ack=False) as opened:
        flag = opened.getcol("FLAG")
        flag[opened.getcol("ANTENNA1") < 5] = True
        opened.putcol("FLAG", flag)
    result, _ = applied(tmp_path / "v", runs["t"], Run(tmp_path / "cal", calibration.manifest))
    assert figure(result, "apply.flagged").value > 0.6
    assert figure(result, "apply.flagged").verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "change", [lambda c: c.pop("tables"), lambda c: c["tables"].clear(), lambda c: c["tables"][0].pop("interp")]
)
def test_broken_record_is_named(case, tmp_path, change):
    runs, calibration = case
    with pytest.raises(BadInput, match=r"g1_calsel\.json"):
        applied(tmp_path / "w", runs["t"], changed(calibration, tmp_path, change))
