"""``contimg verify``: what holds the same is said, what differs is named and kept, what cannot be repeated is told."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
import toy_stages
from toy_stages import SPEC, toy_task
from typer.testing import CliRunner

from contimg.cli import verify as command
from contimg.cli.main import app
from contimg.errors import BadConfig, Damaged
from contimg.keeper.keeper import Keeper
from contimg.models.manifest import Usage
from contimg.models.quality import judge
from contimg.stage import ProductDraft, StageResult
from contimg.volume import disk
from contimg.volume.attempt import open_attempt
from contimg.volume.commit import Reply, commit, read_run
from contimg.worker import repeat as module
from contimg.worker.repeat import repeat
from contimg.worker.warm import ChildDied


@pytest.fixture
def run(layout, tmp_path, monkeypatch):
    """A committed and registered run of a toy stage, made by its own code."""
    monkeypatch.setattr(module, "spec_of", lambda _: SPEC)
    monkeypatch.setattr(command, "spec_of", lambda _: SPEC)
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_stages.__file__).parent))
    monkeypatch.chdir(tmp_path)
    task = toy_task()
    attempt = open_attempt(layout, SPEC.workspace, task, 0)
    disk.write(attempt.path / "toy.txt", "hello")
    first = commit(layout, attempt, task, Reply(StageResult((ProductDraft("image", "t", "toy.txt"),))), Usage())
    made = asyncio.run(repeat(layout, first.manifest, tmp_path / "first"))
    disk.remove(first.path)
    shutil.copytree(made.path, first.path)
    with Keeper(layout) as keeper:
        keeper.scan()
        keeper.register_run(task.task, SPEC.home)
    return read_run(layout, SPEC.home, task.task)


def verify(layout, *words):
    bases = ["--stage-base", str(layout.stage_base), "--data-base", str(layout.data_base)]
    return CliRunner().invoke(app, ["verify", *map(str, words), *bases])


def test_the_same_task_gives_the_same_bytes_and_leaves_nothing_behind(layout, run, tmp_path):
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    done = verify(layout, run.manifest.group)
    assert done.exit_code == 0, repr(done.exception)
    assert f"same {run.manifest.stage} {run.manifest.unit}" in done.output
    assert "1 of 1 runs were repeated and hold the same." in done.output
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    assert not list(tmp_path.glob("verify-*"))


def test_a_byte_that_differs_is_named_and_kept(layout, run, tmp_path):
    product = next(each for each in run.manifest.products if (run.path / each.path).is_file())
    path = run.path / product.path
    path.chmod(0o644)
    path.write_bytes(b"H" + path.read_bytes()[1:])
    done = verify(layout, run.manifest.group)
    assert isinstance(done.exception, Damaged)
    assert Damaged.exit_code == 4
    assert "1 of 1 repeated runs differ" in str(done.exception)
    assert f"product {product.path}: 1 of " in done.output
    assert (tmp_path / f"verify-{run.manifest.group}" / run.manifest.task / product.path).is_file()
    again = verify(layout, run.manifest.group)
    assert "exists already; remove it" in str(again.exception)


def test_figures_products_and_info_are_compared_too(run):
    more = run.manifest.model_copy(
        update={"figures": (judge("toy.x", 1.0),), "products": run.manifest.products[1:], "info": {"a": 1}}
    )
    words = list(command.compare(run, type(run)(run.path, more)))
    assert len(words) == 3
    assert words[0] == f"product {run.manifest.products[0].path} is only in the committed run"
    assert words[1].startswith("figures of the manifest: ")
    assert words[2].endswith("became {'a': 1}")


def test_a_run_that_was_cleaned_up_cannot_be_repeated(layout, run):
    disk.remove(run.path)
    done = verify(layout, run.manifest.group)
    assert done.exit_code == command.NOT_REPEATED
    assert "NOT REPEATED" in done.output
    assert "its run was cleaned up" in done.output


def test_an_attempt_that_fails_is_told_and_hides_no_other(layout, run, monkeypatch):
    async def fail(*_):
        raise ChildDied(-9)

    monkeypatch.setattr(command, "repeat", fail)
    done = verify(layout, run.manifest.group)
    assert done.exit_code == command.NOT_REPEATED
    assert "0 of 1 runs were repeated" in done.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["nobody"], "no run of a group 'nobody' is known here"), (["../x"], "is no name of a group")],
)
def test_a_group_that_is_not_known(words, sentence, layout, run):
    done = verify(layout, *words)
    assert isinstance(done.exception, BadConfig)
    assert sentence in str(done.exception)


def test_a_stage_without_runs(layout, run):
    done = verify(layout, run.manifest.group, "--stage", "mosaic")
    assert "has no run of stage" in str(done.exception)
