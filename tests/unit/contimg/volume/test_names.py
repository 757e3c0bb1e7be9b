from __future__ import annotations

import pytest
from toy_stages import toy_task

from contimg.models.manifest import Usage
from contimg.stage import ProductDraft, StageResult
from contimg.volume.attempt import open_attempt
from contimg.volume.commit import Reply, commit
from contimg.volume.names import name_products, named_run, names_of

DRAFTS = (
    ProductDraft("image", "t", "tree", ("d/t.image",)),
    ProductDraft("image", "f", "file", ("d/f.fits", "e/f.fits"), "fits"),
    ProductDraft("catalog", "c", "file", ("d/c.fits",)),
    ProductDraft("metadata", "m", "tree", ("d/m",)),
)


@pytest.fixture
def run_of(layout):
    def make(text: str):
        task = toy_task(text=text)
        attempt = open_attempt(layout, "toying", task, 0)
        (attempt.path / "tree").mkdir()
        (attempt.path / "tree" / "leaf").write_text(text)
        (attempt.path / "file").write_text(text)
        return commit(layout, attempt, task, Reply(StageResult(DRAFTS)), Usage())

    return make


def test_names_are_relative_links_and_hard_links_below_products(layout, run_of):
    run = run_of("one")
    names = name_products(layout, run)
    assert set(names) == set(names_of(layout, run.manifest))
    link = layout.home("image") / "e" / "f.fits"
    assert str(link.readlink()) == f"../.runs/{run.manifest.task}/file"
    assert (layout.home("image") / "d" / "t.image" / "leaf").read_text() == "one"
    catalog = layout.home("catalog") / "d" / "c.fits"
    assert not catalog.is_symlink()
    assert catalog.samefile(run.path / "file")
    assert (layout.home("metadata") / "d" / "m").is_symlink()  # a directory cannot be hard-linked


def test_a_second_call_changes_nothing(layout, run_of):
    run = run_of("one")
    names = name_products(layout, run)
    before = [path.lstat().st_ctime_ns for path in names]
    name_products(layout, run)
    assert [path.lstat().st_ctime_ns for path in names] == before
    assert sorted(path.name for path in (layout.home("image") / "d").iterdir()) == ["f.fits", "t.image"]


def test_names_move_to_the_run_named_last_and_back(layout, run_of):
    one, two = run_of("one"), run_of("two")
    for run, text in ((one, "one"), (two, "two"), (one, "one")):
        name_products(layout, run)
        assert (layout.home("image") / "d" / "t.image" / "leaf").read_text() == text
        assert (layout.home("catalog") / "d" / "c.fits").read_text() == text
    assert sorted(path.name for path in (layout.home("catalog") / "d").iterdir()) == ["c.fits"]


def test_a_person_s_directory_or_file_is_kept_beside(layout, run_of):
    run = run_of("one")
    standing = layout.home("image") / "d" / "t.image"
    standing.mkdir(parents=True)
    (standing / "mine").write_text("kept")
    (standing.parent / "f.fits").write_text("kept too")
    name_products(layout, run)
    kept = standing.with_name("t.image.before-1")
    assert (kept / "mine").read_text() == "kept"
    assert standing.with_name("f.fits.before-1").read_text() == "kept too"
    assert (standing / "leaf").read_text() == "one"


def test_a_left_over_temporary_link_is_no_obstacle(layout, run_of):
    run = run_of("one")
    directory = layout.home("catalog") / "d"
    directory.mkdir(parents=True)
    (directory / f".c.fits.{run.manifest.task}").hardlink_to(run.path / "file")
    name_products(layout, run)
    assert [path.name for path in directory.iterdir()] == ["c.fits"]


def test_the_tree_may_be_moved(layout, run_of, tmp_path):
    name_products(layout, run_of("one"))
    layout.stage_base.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / layout.home("image").relative_to(layout.stage_base)
    assert (moved / "d" / "f.fits").read_text() == "one"


def test_the_run_that_the_names_lead_to_is_the_previous_one(layout, run_of):
    one, task = run_of("one"), toy_task(text="two")
    assert named_run(layout, task) is None
    name_products(layout, one)
    assert named_run(layout, task.model_copy(update={"date": "d"})) == one
    assert named_run(layout, task.model_copy(update={"date": "d", "unit": "other"})) is None
    assert named_run(layout, toy_task(text="one").model_copy(update={"date": "d"})) is None, "it is the task itself"
    two = run_of("two")
    name_products(layout, two)
    assert named_run(layout, toy_task(text="three").model_copy(update={"date": "d"})) == two
