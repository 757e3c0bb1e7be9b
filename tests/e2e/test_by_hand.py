"""The page docs/by-hand.md, command by command, in an empty directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contimg.models.manifest import Manifest

pytestmark = [pytest.mark.e2e, pytest.mark.science]
PAGE = Path(__file__).parents[2] / "docs" / "by-hand.md"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Run all commands of the page with the shell, as a reader would."""
    where = tmp_path_factory.mktemp("by-hand")
    (block,) = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    commands = [line.removeprefix("$ ") for line in block.splitlines()]
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands:
        done = subprocess.run(["bash", "-c", command], cwd=where, env=env, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return where


def figures(directory, stage):
    manifest = Manifest.model_validate_json((directory / stage / "manifest.json").read_text())
    return manifest, {figure.name: figure.value for figure in manifest.figures}


def test_the_calibrator_has_the_flux_and_place_that_were_simulated(directory):
    manifest, found = figures(directory, "matched")
    assert manifest.stage == "crossmatch"
    assert found["crossmatch.flux_ratio"] == pytest.approx(1.0, abs=0.02)
    assert found["crossmatch.offset"] < 0.5  # a hundredth of the beam
    assert found["crossmatch.completeness"] == 1.0


def test_verdicts_are_those_that_the_page_says(directory):
    said = {stage: figures(directory, stage)[0].verdict for stage in ("converted", "solved", "imaged", "matched")}
    assert said == {"converted": "pass", "solved": "degraded", "imaged": "pass", "matched": "degraded"}


def test_pictures_are_made(directory):
    (picture,) = (directory / "imaged").glob("*.png")
    assert picture.stat().st_size > 10_000
