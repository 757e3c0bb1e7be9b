from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from casacore.tables import table
from gain_bench import ANTENNAS, FREQS, TARGET, draw_gains, scan_runs, write_scan

from contimg.radio.ms.read import open_recording
from contimg_solve.casa_backend import _copy_with_model
from contimg_solve.model import point

_RUN = """
import json, sys
from pathlib import Path
from gain_bench import raw_run, solved
here = Path(sys.argv[1])
runs = [raw_run(here / f"{u}.ms", u) for u in ("p", "s1", "s2")]
result, run = solved(here / "w", runs, {"p": "bandpass", "s1": "gain", "s2": "gain"}, backend="casa",
                     strategy="calibrator-scans", min_uv_wavelengths=0, reference_antennas=("2",))
print(json.dumps({"files": sorted(p.name for p in run.path.iterdir()), "info": result.info}))
"""


def test_copy_carries_the_model_and_names_casa_can_take(tmp_path):
    source = write_scan(tmp_path / "t.ms", "1445+099", TARGET, [(*TARGET, 1.0)], np.ones((len(FREQS), 2, ANTENNAS)))
    recording = open_recording(source)
    for path in (source, *source.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    _copy_with_model(recording, point(recording, np.arange(len(FREQS)) + 1.0), "field0", 7, tmp_path / "c.ms")
    with table(str(tmp_path / "c.ms"), ack=False) as copied:
        model = copied.getcol("MODEL_DATA")
        assert set(copied.getcol("SCAN_NUMBER")) == {7}
    np.testing.assert_allclose(model, np.broadcast_to((np.arange(len(FREQS)) + 1.0)[None, :, None], model.shape))
    with table(f"{tmp_path / 'c.ms'}::ANTENNA", ack=False) as antennas:
        assert list(antennas.getcol("NAME")) == [f"A{name}" for name in recording.antennas]
    with table(f"{tmp_path / 'c.ms'}::FIELD", ack=False) as fields:
        assert list(fields.getcol("NAME")) == ["field0"]


@pytest.mark.casa
def test_casa_writes_the_same_products_and_finds_the_flux(tmp_path):
    scan_runs(tmp_path, bandpass=draw_gains(5), drift=np.ones((4, 1, 2, ANTENNAS)), flux=3.21, noise=0.02)
    env = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", _RUN, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["files"] == ["g1_bpcal", "g1_calsel.json", "g1_gpcal"]
    assert found["info"]["flux"]["1445+099"]["flux_jy"] == pytest.approx(3.21, rel=3e-3)
    assert found["info"]["reference_antenna"] == "2"
