"""The message server is killed in the middle of a run: the run starts another and ends as if nothing had been."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from commands import CONTIMG, clean_environment

from contimg.instruments.dsa110.simulate import preset, simulate_dsa110

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

GROUP = """
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {name: tiny}
spec:
  pipeline: dsa110-continuum
  observations: {start: 2026-01-25T00:00:00Z, count: 1}
  stages:
    convert: {min_antennas: 5}
    group: {min_size: 1}
    solve: {min_uv_wavelengths: 0}
    image: {cell_arcsec: 10, size: 512}
"""


def server_of(run: psutil.Process) -> psutil.Process | None:
    return next((child for child in run.children() if child.name() == "nats-server"), None)


def test_a_killed_nats_server_is_started_again(tmp_path: Path) -> None:
    simulate_dsa110(tmp_path / "raw", preset("tiny"))
    (tmp_path / "tiny.yaml").write_text(GROUP)
    words = ["run", "tiny.yaml", "--stage-base", "stage", "--data-base", "data", "--incoming", "raw", "--json"]
    process = subprocess.Popen(
        [CONTIMG, *words], cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("stage/workspace/active/*/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    first = server_of(psutil.Process(process.pid))
    assert first is not None
    first.kill()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()[-2000:]
    result = json.loads(out)
    assert result["phase"] == "Published"
    assert result["stages_run"] == 8
    assert "starting it again" in (tmp_path / "data/state/logs/run.log").read_text()
