"""A committed task done again elsewhere, in a cold child."""

from __future__ import annotations

import pytest
from toy_stages import SPEC, toy_task

from contimg.errors import BadConfig, DataQuality
from contimg.models.manifest import Usage
from contimg.stage import ProductDraft, StageResult
from contimg.volume import disk
from contimg.volume.attempt import open_attempt, read_records
from contimg.volume.commit import Reply, commit
from contimg.worker import repeat as module
from contimg.worker.repeat import repeat, task_of


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(module, "spec_of", lambda _: SPEC)


def committed(layout, task):
    attempt = open_attempt(layout, SPEC.workspace, task, 0)
    disk.write(attempt.path / "toy.txt", "hello")
    return commit(layout, attempt, task, Reply(StageResult((ProductDraft("image", "t", "toy.txt"),))), Usage())


async def test_it_makes_the_same_products_and_commits_nothing(layout, tmp_path):
    run = committed(layout, toy_task())
    again = await repeat(layout, run.manifest, tmp_path / "scratch")
    assert again.path == tmp_path / "scratch" / run.manifest.task
    (product,) = [p for p in again.manifest.products if p.type == "image" and p.role == "fits"]
    assert product.sha256 == run.manifest.products[0].sha256
    assert not (again.path / "scratch.tmp").exists()
    assert again.manifest.usage.wall_s > 0
    assert len(read_records(layout, run.manifest.task)) == 1
    with pytest.raises(BadConfig, match="exists already"):
        await repeat(layout, run.manifest, tmp_path / "scratch")


async def test_an_attempt_that_fails_says_why(layout, tmp_path):
    run = committed(layout, toy_task("quality"))
    with pytest.raises(DataQuality, match="not good enough"):
        await repeat(layout, run.manifest, tmp_path / "scratch")


def test_the_task_is_the_one_that_was_asked_for(layout):
    source = committed(layout, toy_task(text="source"))
    task = toy_task().model_copy(
        update={"inputs": {"image": (source.manifest.task,)}, "members": ("a",), "options": {"expected": 2}}
    )
    attempt = open_attempt(layout, SPEC.workspace, task, 0)
    reply = Reply(StageResult(()), inputs=({"task": source.manifest.task, "home": "image", "sha256": "0"},))
    manifest = commit(layout, attempt, task, reply, Usage()).manifest
    assert task_of(manifest).model_dump(exclude={"limits"}) == task.model_dump(exclude={"limits"})


def test_a_task_that_took_longer_than_its_stage_usually_may_is_given_the_time(layout):
    manifest = committed(layout, toy_task()).manifest
    assert task_of(manifest).limits.time_s == SPEC.time_limit_s
    slow = manifest.model_copy(update={"usage": Usage(wall_s=2 * SPEC.time_limit_s)})
    assert task_of(slow).limits.time_s == 20 * SPEC.time_limit_s


def test_another_recipe_is_not_repeated(layout):
    manifest = committed(layout, toy_task()).manifest.model_copy(update={"recipe_version": 7})
    with pytest.raises(BadConfig, match="was made by recipe 7 of stage toy, installed is 1; install the release"):
        task_of(manifest)
