from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sites import points
from toy_stages import SPEC

from contimg.errors import BadConfig, DataQuality
from contimg.models.manifest import Manifest
from contimg.models.spec import Scope
from contimg.worker import byhand
from contimg.worker.byhand import run_by_hand


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    spec = SPEC.model_copy(update={"recognise": "contimg_mosaic.recognise:recognise"})
    monkeypatch.setattr(byhand, "spec_of", lambda name: spec.model_copy(update={"name": name}))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "2026-01-25T22:00:13_tag.fits"
    path.write_text("not really")
    return path


def test_products_and_a_manifest_in_a_new_directory(image, tmp_path):
    reports = []
    out = tmp_path / "out"
    manifest = run_by_hand("toy", [image], {"text": "abc"}, out, lambda *what: reports.append(what))
    assert (out / "toy.txt").read_text() == "abc"
    assert not (out / "scratch.tmp").exists()
    assert Manifest.model_validate_json((out / "manifest.json").read_text()) == manifest
    assert (manifest.unit, manifest.group, manifest.params["text"]) == ("2026-01-25T22:00:13_tag", "byhand", "abc")
    assert manifest.date == f"{datetime.now(UTC):%Y-%m-%d}", "a bare file tells no date"
    assert [one.home for one in manifest.inputs] == ["image"]
    assert reports[-1] == (2, 2, "files")
    assert sorted(path.name for path in tmp_path.iterdir()) == [image.name, "out"]


def test_its_result_is_an_input_of_the_next_stage(image, tmp_path, monkeypatch):
    first = run_by_hand("toy", [image], {}, tmp_path / "one")
    second = run_by_hand("toy", [tmp_path / "one"], {}, tmp_path / "two")
    third = run_by_hand("toy", [tmp_path / "one" / "toy.tree"], {}, tmp_path / "three")
    assert second.inputs[0].task == third.inputs[0].task == first.task
    assert second.task == third.task


def test_a_failed_stage_leaves_nothing(image, tmp_path):
    with pytest.raises(DataQuality, match="not good enough"):
        run_by_hand("toy", [image], {"how": "quality"}, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [image.name]


def test_an_existing_result_and_a_wrong_parameter_are_refused(image, tmp_path):
    with pytest.raises(BadConfig, match="exists already; remove it or name another"):
        run_by_hand("toy", [image], {}, tmp_path)
    with pytest.raises(BadConfig, match="has no parameter 'txet'; did you mean 'text'"):
        run_by_hand("toy", [image], {"txet": 1}, tmp_path / "out")


def test_group_stages_get_no_observation(image, tmp_path, monkeypatch):
    spec = SPEC.model_copy(update={"scope": Scope.GROUP, "recognise": "contimg_mosaic.recognise:recognise"})
    monkeypatch.setattr(byhand, "spec_of", lambda _: spec)
    assert run_by_hand("toy", [image], {}, tmp_path / "out").unit == "2026-01-25T22:00:13_tag"


def test_a_watcher_has_nothing_to_run_by_hand(image, tmp_path, monkeypatch):
    monkeypatch.setattr(byhand, "spec_of", lambda _: SPEC.model_copy(update={"makes": (), "scope": Scope.WATCHER}))
    with pytest.raises(BadConfig, match="stage toy has no tasks: it watches what arrives"):
        run_by_hand("toy", [image], {}, tmp_path / "out")


PROGRAM = """
import sys
from pathlib import Path
from toy_stages import SPEC
from contimg.worker import byhand
byhand.spec_of = lambda name: SPEC.model_copy(update={"recognise": "contimg_mosaic.recognise:recognise"})
byhand.run_by_hand("toy", [Path(sys.argv[1])], {}, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("point", points(Path(byhand.__file__)))
def test_killed_anywhere_it_leaves_the_whole_result_or_can_be_started_again(image, tmp_path, point):
    out = tmp_path / "out"
    path = os.pathsep.join(["tests/support", "shared", "services"])
    environment = os.environ | {"PYTHONPATH": path, "CONTIMG_CRASH": point}
    command = [sys.executable, "-c", PROGRAM, str(image), str(out)]
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    if not out.exists():
        run_by_hand("toy", [image], {}, out)
    assert Manifest.model_validate_json((out / "manifest.json").read_text()).stage == "toy"
    assert (out / "toy.txt").read_text() == "hello"
    assert sorted(path.name for path in tmp_path.iterdir()) == [image.name, "out"]
