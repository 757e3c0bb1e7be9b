"""What publish does in the parent: carry out the plan, then tell the keeper; with a real archive and a real keeper."""

from __future__ import annotations

import pytest
from keeper_site import Site

from contimg.archive import Archive
from contimg.errors import BadConfig, ResourceExhausted
from contimg.keeper.keeper import Keeper
from contimg.models.fact import GroupRecord, Needs
from contimg.models.plan import Plan
from contimg.models.quality import Verdict
from contimg.models.task import Task
from contimg.volume.layout import Layout
from contimg_publish.effect import publish


@pytest.fixture
def site(tmp_path):
    return Site(Layout(tmp_path / "stage", tmp_path / "data"))


def publishing(site, **changes):
    """A committed publish run over one mosaic, and the task that asked for it."""
    mosaic = site.commit("mosaic", "g")
    task, home = site.publish([mosaic])
    run = site.run(task, home)
    path = run.product("metadata", "plan")
    path.write_text(Plan.model_validate_json(path.read_text()).model_copy(update=changes).model_dump_json())
    asked = Task(
        task=task, stage="publish", recipe_version=1, unit="g", home=home, group="g", spec_digest="d7",
        date="2026-01-25", params={}, members=("2026-01-25T22:00:00", "2026-01-25T22:05:09"),
    )  # fmt: skip
    return run, asked


def test_files_are_in_the_archive_before_the_group_is_said_to_be_published(site):
    run, task = publishing(site)
    (noted,) = publish(run, task, site.layout)
    assert list(site.layout.archive.rglob("mosaic_g.fits"))
    assert noted["kind"] == "group"
    record = GroupRecord.model_validate(noted["record"])
    assert record.published
    assert (record.group, record.task, record.spec_digest) == ("g", run.manifest.task, "d7")
    assert (record.members, record.policy) == (task.members, "always")
    assert record.verdict is Verdict.PASS
    assert record.object_store == ""


def test_the_keeper_calls_the_group_current(site):
    run, task = publishing(site)
    with Keeper(site.layout) as keeper:
        (noted,) = publish(run, task, site.layout)
        keeper.register_group(GroupRecord.model_validate(noted["record"]))
        record = keeper.facts(Needs(group="g")).record
        assert record.published
        assert record.current


def test_twice_is_as_once(site):
    run, task = publishing(site)
    with Keeper(site.layout) as keeper:
        publish(run, task, site.layout)
        before = {path: path.lstat().st_ino for path in site.layout.archive.rglob("*")}
        (noted,) = publish(run, task, site.layout)
        keeper.register_group(GroupRecord.model_validate(noted["record"]))
        assert {path: path.lstat().st_ino for path in site.layout.archive.rglob("*")} == before
        assert keeper.facts(Needs(group="g")).record.current


def test_a_product_that_may_not_be_published_touches_no_archive(site):
    run, task = publishing(site, publish=False, reason="mosaic.rms is too high", verdict=Verdict.FAILED)
    (noted,) = publish(run, task, site.layout)
    record = GroupRecord.model_validate(noted["record"])
    assert not record.published
    assert record.reason == "mosaic.rms is too high"
    assert record.verdict is Verdict.FAILED
    assert not site.layout.archive.exists()


def test_a_failing_archive_registers_nothing(site, monkeypatch):
    run, task = publishing(site)

    def full(*_words):
        raise ResourceExhausted("the archive is full")

    monkeypatch.setattr(Archive, "publish", full)
    with pytest.raises(ResourceExhausted):
        publish(run, task, site.layout)


def test_an_object_store_without_keys_is_a_matter_of_configuration(site, monkeypatch):
    run, task = publishing(site)
    monkeypatch.setenv("CONTIMG_S3_URL", "http://h:9000/b")
    with pytest.raises(BadConfig, match="CONTIMG_S3_ACCESS_KEY is not set"):
        publish(run, task, site.layout)
