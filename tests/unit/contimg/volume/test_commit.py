from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_stages import toy_task

from contimg.errors import Terminal
from contimg.models.manifest import Usage
from contimg.models.quality import judge
from contimg.stage import ProductDraft, StageResult
from contimg.volume.attempt import open_attempt, read_records
from contimg.volume.commit import Reply, commit, read_run, run_checksum, usable_run
from contimg.volume.layout import Layout

TASK = toy_task()


def replied(*drafts: ProductDraft, **options) -> Reply:
    return Reply(StageResult(drafts or (ProductDraft("image", "x", "x"),), **options))


def worked(layout, text="content"):
    attempt = open_attempt(layout, "toying", TASK, 0)
    (attempt.path / "x").write_text(text)
    return attempt


def test_the_first_rename_wins_and_the_second_adopts(layout):
    one, two = worked(layout, "one"), worked(layout, "two")
    first = commit(layout, one, TASK, replied(), Usage())
    second = commit(layout, two, TASK, replied(), Usage())
    assert first.manifest == second.manifest
    assert (first.path / "x").read_text() == "one"
    assert not two.path.exists()
    assert [(r.state, bool(r.message)) for r in read_records(layout, TASK.task)] == [
        ("committed", False),
        ("committed", True),
    ]


def test_what_is_no_product_is_left_out_of_the_run(layout):
    attempt = worked(layout)
    (attempt.path / "deep" / "er").mkdir(parents=True)
    (attempt.path / "deep" / "er" / "product").write_text("p")
    (attempt.path / "deep" / "scratch").write_text("s")
    (attempt.path / "casa.log").write_text("noise")
    (attempt.path / "dangling").symlink_to("nowhere")
    run = commit(layout, attempt, TASK, replied(ProductDraft("image", "p", "deep/er/product")), Usage())
    files = sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file())
    assert files == [".lock", "attempt.json", "deep/er/product", "manifest.json"]


def test_the_manifest_says_what_was_measured(layout):
    figures = (judge("toy.a", 1.0, "Jy", failed_below=2.0), judge("toy.b", 1.0))
    run = commit(
        layout, worked(layout), TASK, replied(figures=figures, date="2027-01-01", info={"a": 1}), Usage(wall_s=3.0)
    )
    manifest = run.manifest
    assert (manifest.verdict, manifest.date, manifest.info) == ("failed", "2027-01-01", {"a": 1})
    assert (manifest.task, manifest.attempt, manifest.usage.wall_s) == (TASK.task, 1, 3.0)
    assert json.loads((run.path / "attempt.json").read_text())["state"] == "committed"
    assert read_run(layout, "image", TASK.task) == run
    assert read_run(layout, "image", "0" * 32) is None


def test_the_checksum_of_a_run_follows_its_products(layout):
    run = commit(layout, worked(layout), TASK, replied(), Usage())
    other = run.manifest.products[0].model_copy(update={"sha256": "f" * 64})
    assert run_checksum(run.manifest) != run_checksum(run.manifest.model_copy(update={"products": (other,)}))
    assert run_checksum(run.manifest) == run_checksum(run.manifest.model_copy(update={"host": "elsewhere"}))


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        (ProductDraft("image", "p", "missing"), "'missing' was not written"),
        (ProductDraft("image", "p", "../x"), "leads outside"),
        (ProductDraft("image", "p", "/etc/passwd"), "leads outside"),
        (ProductDraft("image", "p", "x", ("a/../../b",)), "leads outside"),
        (ProductDraft("picture", "p", "x"), "unknown data type 'picture'"),
        (ProductDraft("image", "p", "x", ("d/" + "n" * 201,)), "a name of more than 200 bytes"),
    ],
)
def test_a_stage_that_announces_nonsense_is_terminal(layout, draft, words):
    attempt = worked(layout)
    with pytest.raises(Terminal, match=words):
        commit(layout, attempt, TASK, replied(draft), Usage())
    assert attempt.path.exists()
    assert read_run(layout, "image", TASK.task) is None


def test_another_file_system_is_copied_over(layout, tmp_path_factory):
    shm = Path("/dev/shm") / tmp_path_factory.mktemp("x").name  # noqa: S108 - a tmpfs is the point
    other = Layout(layout.stage_base, layout.data_base, {"CONTIMG_WORKSPACE_DIR": str(shm)})
    if Path("/dev/shm").stat().st_dev == layout.stage_base.stat().st_dev:  # noqa: S108 - same
        pytest.skip("no other file system here")
    one, two = worked(other, "one"), worked(other, "two")
    run = commit(other, one, TASK, replied(), Usage())
    assert commit(other, two, TASK, replied(), Usage()).manifest == run.manifest
    assert (run.path / "x").read_text() == "one"
    assert [path.name for path in other.runs("image").iterdir()] == [TASK.task]
    assert not list(other.active("toying").iterdir())


def test_a_manifest_says_what_a_repetition_needs(layout):
    more = {"observation": "2026-01-25T22:00:13", "members": ("a", "b"), "calibrators": ("c",), "options": {"k": 1}}
    task = TASK.model_copy(update=more)
    manifest = commit(layout, worked(layout), task, replied(), Usage()).manifest
    assert {name: getattr(manifest, name) for name in more} == more


DAMAGE = {
    "manifest": lambda run: overwrite(run / "manifest.json", "{garbage"),
    "no manifest": lambda run: take_away(run / "manifest.json"),
    "other task": lambda run: overwrite(run / "manifest.json", of_another((run / "manifest.json").read_text())),
    "truncated": lambda run: overwrite(run / "x", "c"),
    "missing": lambda run: take_away(run / "x"),
}


def of_another(manifest):
    return manifest.replace(TASK.task, "0" * 32)


def overwrite(path, text):
    path.chmod(0o644)
    path.write_text(text)


def take_away(path):
    path.parent.chmod(0o755)
    path.unlink()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_moved_aside_and_nothing_of_it_deleted(layout, damage):
    run = commit(layout, worked(layout), TASK, replied(), Usage())
    assert usable_run(layout, "image", TASK.task) == run
    DAMAGE[damage](run.path)
    left = {path.name for path in run.path.iterdir()}
    assert usable_run(layout, "image", TASK.task) is None
    assert usable_run(layout, "image", TASK.task) is None
    (aside,) = layout.runs("image").iterdir()
    assert aside.name == f"{TASK.task}.damaged-1"
    assert {path.name for path in aside.iterdir()} == left
    assert commit(layout, worked(layout), TASK, replied(), Usage()).manifest.attempt == 2
