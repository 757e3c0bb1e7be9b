from __future__ import annotations

import json
import shutil
from datetime import timedelta

import pytest

from contimg.errors import Damaged
from contimg.keeper.keeper import Keeper
from contimg.keeper.published import plan_path
from contimg.models.quality import Verdict


def published(site, keeper, products, *, version="a", unit="g"):
    """Publish runs as the worker does: effect, group, then the run itself."""
    task, home = site.publish(products, version=version, unit=unit)
    site.archive(task)
    keeper.register_group(site.group(task).model_copy(update={"group": unit}))
    site.name(task, home)
    keeper.register_run(task, home)
    return task


def status(keeper, task):
    return {row["path"]: row["status"] for row in keeper.queries.products(task=task)}


@pytest.fixture
def mosaic(site, layout):
    return site.commit("mosaic", "g")


def test_rows_of_a_published_product_say_where_it_is(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        (before,) = keeper.queries.products("mosaic")
        assert (before["status"], before["published_path"], before["s3_key"]) == ("staging", "", "")
        published(site, keeper, [mosaic])
        (row,) = keeper.queries.products("mosaic")
    assert row["status"] == "published"
    assert row["published_path"] == str(layout.archive / "mosaics/2026-01-25/mosaic_g.fits")
    assert row["stage_path"] == str(layout.run("mosaic", mosaic[0]) / "g.fits")
    assert row["s3_key"] == f"mosaics/2026-01-25/{mosaic[0]}/g.fits"
    assert row["published_at"]


def test_the_run_of_stage_publish_is_published_itself(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task = published(site, keeper, [mosaic])
        assert status(keeper, task) == {"plan_g.json": "published"}


def test_a_group_that_is_not_published_stays_as_it_is(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task, home = site.publish([mosaic])
        run = layout.run(home, task)
        plan = json.loads((run / "plan_g.json").read_text()) | {"publish": False, "reason": "verdict failed"}
        (run / "plan_g.json").write_text(json.dumps(plan))
        record = site.group(task, published=False).model_copy(update={"reason": "verdict failed"})
        keeper.register_group(record)
        facts = keeper.facts()
        assert facts.groups["g"].current
        assert facts.groups["g"].reason == "verdict failed"
        assert status(keeper, mosaic[0]) == {"g.fits": "staging"}


def test_directories_are_published_below_the_group_and_traced(site, layout):
    """The group began a day before this member: its date rules in the archive."""
    with Keeper(layout) as keeper:
        task, home = site.commit("image", "2026-01-26T00:01:00", name="tile.image")
        keeper.register_run(task, home)
        publish, _ = site.publish([(task, home)], date="2026-01-24", optional=True)
        site.archive(publish)
        keeper.register_group(site.group(publish))
        name = layout.archive / "images/2026-01-24/g/tile.image"
        assert name.is_symlink()
        (row,) = keeper.queries.products("image")
        assert (row["status"], row["published_path"]) == ("published", str(name))
        assert row["s3_key"] == f"images/2026-01-24/{task}/tile.image.tar"
        assert keeper.queries.trace(name).steps[0].task == task
        assert keeper.queries.trace(name / "table.dat").product == "image_2026-01-26T00:01:00"


def test_a_name_that_somebody_removed_makes_the_group_not_current(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task = published(site, keeper, [mosaic])
        name = layout.archive / "mosaics/2026-01-25/mosaic_g.fits"
        name.unlink()
        assert not keeper.facts().groups["g"].current
        site.archive(task)  # asked again, the worker adopts the run and repeats the effect
        assert keeper.facts().groups["g"].current


def test_copies_of_plans_outlive_staging_and_databases(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task = published(site, keeper, [mosaic])
        rows = keeper.queries.products(status="published")
    shutil.rmtree(layout.stage_base)
    for path in layout.databases.values():
        path.unlink()
    with Keeper(layout) as keeper:
        assert keeper.facts().groups["g"].current
        after = keeper.queries.products(status="published")
        assert [row["published_path"] for row in after] == [row["published_path"] for row in rows]
        assert {row["stage_path"] for row in after} == {""}
        keeper.register_group(site.group(task))  # the run is gone, its plan was kept
        assert keeper.facts().groups["g"].current


def test_a_damaged_plan_is_listed_by_the_scan_and_refused_at_registration(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task = published(site, keeper, [mosaic])
        plan_path(layout, task).write_text("{")
        report = keeper.scan()
        assert list(report.damaged) == [str(plan_path(layout, task))]
        (layout.run("metadata", task) / "plan_g.json").write_text('{"group": 1}')
        with pytest.raises(Damaged, match=r"plan_g.json is no Plan: .*; restore it"):
            keeper.register_group(site.group(task))


def test_two_groups_keep_their_records_apart(site, layout):
    with Keeper(layout) as keeper:
        for unit in ("a", "b"):
            mosaic = site.commit("mosaic", unit)
            keeper.register_run(*mosaic)
            published(site, keeper, [mosaic], unit=unit)
        facts = keeper.facts(groups=["b"])
        assert set(facts.groups) == {"b"}
        assert [row["group_id"] for row in keeper.queries.groups()] == ["a", "b"]
        (layout.archive / "mosaics/2026-01-25/mosaic_a.fits").unlink()
        assert {name: record.current for name, record in keeper.facts().groups.items()} == {"a": False, "b": True}


def test_a_later_record_of_a_group_replaces_the_one_before(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task = published(site, keeper, [mosaic])
        later = site.group(task, "other-digest").model_copy(
            update={"verdict": Verdict.DEGRADED, "at": site.finished + timedelta(days=1)}
        )
        keeper.register_group(later)
        assert keeper.facts().groups["g"].spec_digest == "other-digest"
        assert json.loads((layout.groups / "g.json").read_text())["verdict"] == "degraded"
    with Keeper(layout) as keeper:
        assert keeper.facts().groups["g"].spec_digest == "other-digest"
