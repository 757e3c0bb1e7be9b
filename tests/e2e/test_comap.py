"""The document's command: python run.py parameter_files/main_run.toml, from level 1 to a published map."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from comap_sim import simulated

from contimg.cli.comap import init

pytestmark = [pytest.mark.e2e]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("comap")
    simulated(root / "level1", seed=7)
    init(root)
    return root


def run(project: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONTIMG_")}
    command = [sys.executable, "run.py", "parameter_files/main_run.toml"]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def manifests(project: Path) -> dict[str, dict]:
    paths = (project / ".contimg" / "data" / "state" / "manifests").rglob("*.json")
    return {path.stem: json.loads(path.read_text()) for path in paths}


def test_a_map_is_published_and_appears_where_the_file_says(project):
    run(project)
    (path,) = (project / "outputs").glob("field12_band00_feed*.fits")
    with fits.open(path) as hdus:
        x, y = WCS(hdus[0].header).wcs_world2pix(30.0689, 0.0, 0)
        near = hdus[0].data[round(float(y)) - 2 : round(float(y)) + 3, round(float(x)) - 2 : round(float(x)) + 3]
        assert 0.7 < np.nanmax(near) < 1.15  # a source of 1 K, seen by two feeds for a minute
    stages = sorted(one["stage"] for one in manifests(project).values())
    assert stages == ["destripe", "level2", "publish", "publish"]  # both groups share level 2
    (level2,) = (project / ".contimg" / "stage" / "level2").glob("2022-01/Field12/level2/Level2_comap-0060001-*.hd5")
    assert level2.is_file()


def test_running_again_does_nothing(project):
    before = manifests(project)
    run(project)
    assert manifests(project) == before


def test_editing_a_map_repeats_only_the_map(project):
    before = manifests(project)
    path = project / "parameter_files" / "level2_mapmaking.toml"
    path.write_text(path.read_text().replace("offset_length = 100", "offset_length = 50"))
    run(project)
    made = [one["stage"] for task, one in manifests(project).items() if task not in before]
    assert sorted(made) == ["destripe", "publish"]
