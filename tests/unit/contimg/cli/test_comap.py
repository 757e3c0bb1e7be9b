"""contimg comap: a project from nothing to its groups."""

from __future__ import annotations

import subprocess
import sys

import pytest
from comap_sim import simulated
from ruamel.yaml import YAML
from typer.testing import CliRunner

from contimg.cli.comap import app
from contimg.errors import BadConfig
from contimg.models.group import ObservationGroup


def invoke(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("p")
    simulated(root / "level1", channels=16, minutes=2.0, feeds=(1,))
    assert invoke("init", root).exit_code == 0
    return root


def test_init_makes_what_is_missing_and_leaves_what_is_there(project):
    (project / "run.py").write_text("mine\n")
    done = invoke("init", project)
    assert "run.py is there already and stays" in done.output
    assert (project / "run.py").read_text() == "mine\n"
    for name in ("modules", "databases", "logs", "map_making_configs/wcs_definitions.toml"):
        assert (project / name).exists()
    (project / "run.py").unlink()
    assert invoke("init", project).exit_code == 0
    subprocess.run([sys.executable, "-m", "py_compile", str(project / "run.py")], check=True)


def test_plan_says_groups_bytes_and_what_is_there(project):
    done = invoke("plan", project / "parameter_files" / "main_run.toml")
    assert done.exit_code == 0, done.output
    assert "Level2Pipeline: level2-1: 1 observation, 0.00 GB of level 1, new" in done.output
    assert "1 map, new" in done.output


def test_plan_as_yaml_is_what_the_cluster_takes(project):
    done = invoke("plan", project / "parameter_files" / "main_run.toml", "-o", "yaml")
    documents = list(YAML(typ="safe", pure=True).load_all(done.stdout))
    groups = [ObservationGroup.model_validate(one) for one in documents]
    assert [group.spec.pipeline for group in groups] == ["comap-level2", "comap-galactic"]
    assert "*" not in done.stdout


def test_what_cannot_be_planned_is_refused(project, tmp_path, monkeypatch):
    assert isinstance(invoke("plan", tmp_path / "none.toml").exception, BadConfig)
    main = project / "parameter_files" / "main_run.toml"
    assert "text and yaml" in str(invoke("plan", main, "-o", "x").exception)
    monkeypatch.setenv("CONTIMG_COMAP_LEVEL1_ROOTS", str(tmp_path / "nowhere"))
    assert "does not exist" in str(invoke("plan", main).exception)
    monkeypatch.delenv("CONTIMG_COMAP_LEVEL1_ROOTS")
    other = tmp_path / "parameter_files" / "main_run.toml"
    other.parent.mkdir()
    other.write_text(main.read_text().replace('["level1"]', "[]"))
    assert "names no level-1 directory" in str(invoke("plan", other).exception)
