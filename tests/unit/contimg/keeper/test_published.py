from __future__ import annotations

import json
import shutil
from datetime import timedelta

import pytest
from keeper_site import everything

from contimg.errors import Damaged
from contimg.keeper.keeper import Keeper
from contimg.keeper.queries import Chosen
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
    return {row["path"]: row["state"] for row in keeper.queries.products(task)}


@pytest.fixture
def mosaic(site, layout):
    return site.commit("mosaic", "g")


def test_rows_of_a_published_product_say_where_it_is(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        (before,) = keeper.queries.products(mosaic[0])
        assert (before["state"], before["published_path"], before["s3_key"]) == ("staging", "", "")
        published(site, keeper, [mosaic])
        (row,) = keeper.queries.products(mosaic[0])
    assert row["state"] == "published"
    assert row["published_path"] == str(layout.archive / "mosaics/2026-01-25/mosaic_g.fits")
    assert row["stage_path"] == str(layout.run("mosaic", mosaic[0]) / "g.fits")
    assert row["s3_key"] == f"mosaics/2026-01-25/{mosaic[0]}/g.fits"
    assert row["published_at"]


def test_the_run_with_the_plan_is_published_itself(site, layout, mosaic):
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
        record = everything(keeper).record
        assert record.current
        assert record.reason == "verdict failed"
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
        (row,) = keeper.queries.products(task)
        assert (row["state"], row["published_path"]) == ("published", str(name))
        assert row["s3_key"] == f"images/2026-01-24/{task}/tile.image.tar"
        assert keeper.queries.trace(name).steps[0].task == task
        assert keeper.queries.trace(name / "table.dat").product == "image_2026-01-26T00:01:00"


def test_a_name_that_somebody_removed_makes_the_group_not_current(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task = published(site, keeper, [mosaic])
        name = layout.archive / "mosaics/2026-01-25/mosaic_g.fits"
        name.unlink()
        assert not everything(keeper).record.current
        site.archive(task)  # asked again, the worker adopts the run and repeats the effect
        assert everything(keeper).record.current


def test_copies_of_plans_outlive_staging_and_databases(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task = published(site, keeper, [mosaic])
        rows = list(keeper.queries.rows("products", Chosen(state="published")))
    shutil.rmtree(layout.stage_base)
    for path in layout.databases.values():
        path.unlink()
    with Keeper(layout) as keeper:
        assert everything(keeper).record.current
        after = list(keeper.queries.rows("products", Chosen(state="published")))
        assert [row["published_path"] for row in after] == [row["published_path"] for row in rows]
        assert {row["stage_path"] for row in after} == {""}
        keeper.register_group(site.group(task))  # the run is gone, its plan was kept
        assert everything(keeper).record.current


def test_a_damaged_plan_is_listed_by_the_scan_and_refused_at_registration(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task = published(site, keeper, [mosaic])
        layout.plan(task).write_text("{")
        report = keeper.scan()
        assert list(report.damaged) == [str(layout.plan(task))]
        (layout.run("metadata", task) / "plan_g.json").write_text('{"group": 1}')
        with pytest.raises(Damaged, match=r"plan_g.json is no Plan: .*; restore it"):
            keeper.register_group(site.group(task))


def test_two_groups_keep_their_records_apart(site, layout):
    with Keeper(layout) as keeper:
        for unit in ("a", "b"):
            mosaic = site.commit("mosaic", unit)
            keeper.register_run(*mosaic)
            published(site, keeper, [mosaic], unit=unit)
        assert everything(keeper, "b").record.group == "b"
        (layout.archive / "mosaics/2026-01-25/mosaic_a.fits").unlink()
        assert [everything(keeper, name).record.current for name in ("a", "b")] == [False, True]


def test_a_later_record_of_a_group_replaces_the_one_before(site, layout, mosaic):
    with Keeper(layout) as keeper:
        keeper.register_run(*mosaic)
        task = published(site, keeper, [mosaic])
        later = site.group(task, "other-digest").model_copy(
            update={"verdict": Verdict.DEGRADED, "at": site.finished + timedelta(days=1)}
        )
        keeper.register_group(later)
        assert everything(keeper).record.spec_digest == "other-digest"
        assert json.loads((layout.groups / "g.json").read_text())["verdict"] == "degraded"
    with Keeper(layout) as keeper:
        assert everything(keeper).record.spec_digest == "other-digest"
