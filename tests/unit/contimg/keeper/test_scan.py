from __future__ import annotations

import json
import threading

import pytest
from keeper_site import T0, task_of
from sqlalchemy import select

from contimg.errors import Damaged
from contimg.keeper import Keeper
from contimg.keeper.scan import check_products
from contimg.keeper.tables import data_relationships, files, quarantine
from contimg.models.manifest import Manifest


def refuse(layout, name, sentence="it is empty", date="2026-01-25"):
    """Write a quarantine record as ingest does."""
    path = layout.quarantine / date / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"path": f"/in/{name}", "reason": "empty", "sentence": sentence, "size": 0, "mtime_ns": 1, "time": T0}
    path.write_text(json.dumps(record, default=str))
    return path


def test_quarantine_records_come_change_and_go(layout):
    with Keeper(layout) as keeper:
        path = refuse(layout, "a.hdf5")
        keeper.refresh_ingest()
        (row,) = keeper.queries.quarantined()
        assert (row["path"], row["reason"], row["sentence"]) == ("/in/a.hdf5", "empty", "it is empty")
        refuse(layout, "a.hdf5", "it is truncated now")
        refuse(layout, "b.hdf5", date="2026-01-26")
        keeper.refresh_ingest()
        assert [row["sentence"] for row in keeper.queries.quarantined()] == ["it is truncated now", "it is empty"]
        path.unlink()
        keeper.scan()
        assert len(keeper.index.rows("ingest", quarantine.select())) == 1


def test_files_of_an_observation_are_listed_and_go_with_it(site, layout):
    record = site.observation(0)
    with Keeper(layout) as keeper:
        rows = keeper.index.rows("ingest", files.select())
        assert [(row["observation"], row["path"], row["role"]) for row in rows] == [
            (record.id, record.files[0].path, "sb00")
        ]
        (layout.observations / "2026-01-25" / f"{record.id}.json").unlink()
        keeper.scan()
        assert keeper.index.rows("ingest", files.select()) == []


def test_relationships_lead_from_parents_to_children(site, layout):
    with Keeper(layout) as keeper:
        convert = site.commit("convert", "u")
        mosaic = site.commit("mosaic", "g", inputs=[convert])
        for task, home in (convert, mosaic):
            keeper.register_run(task, home)
        rows = keeper.index.rows("data_registry", select(data_relationships))
        assert rows == [{"parent": convert[0], "child": mosaic[0], "kind": "raw_ms"}]


def test_nothing_is_read_twice(site, layout):
    for minutes in range(0, 30, 10):
        site.observation(minutes)
    refuse(layout, "a.hdf5")
    site.attempt(task_of("x"), 1, "failed", error="Retryable")
    with Keeper(layout) as keeper:
        assert keeper.report.read == 5
        keeper.register_run(*site.commit("mosaic", "g"))
        assert keeper.scan().read == 0
    with Keeper(layout) as keeper:
        assert keeper.report.read == 0
        site.observation(30)
        assert keeper.scan().read == 1


def test_a_manifest_under_another_name_is_damaged(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        keeper.register_run(task, home)
        other = task_of("other")
        (layout.manifests / f"{task}.json").rename(layout.manifests / f"{other}.json")
        report = keeper.scan()
        (sentence,) = report.damaged.values()
        assert f"{other}.json is the manifest of task {task}; restore it or move it away" in sentence


def test_damage_that_was_mended_is_no_longer_listed(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        keeper.register_run(task, home)
        product = layout.run(home, task) / "g.fits"
        content = product.read_text()
        product.unlink()
        keeper.scan()
        assert len(keeper.queries.damaged()) == 1
        product.write_text(content)
        keeper.scan()
        assert keeper.queries.damaged() == []
        assert keeper.facts().runs[task].present


def test_what_is_being_written_is_not_looked_at(site, layout):
    """Names with a leading dot: drafts of records, copies of a run from another disk, runs being deleted."""
    with Keeper(layout) as keeper:
        for directory in (layout.manifests, layout.observations / "2026-01-25", layout.groups):
            directory.mkdir(parents=True)
            (directory / ".x.json.123.tmp").write_text("{")
            (directory / ".x.json").write_text("{")
        (layout.runs("mosaic") / ".tmp-x-1").mkdir(parents=True)
        (layout.runs("mosaic") / ".trash-x").mkdir(parents=True)
        report = keeper.scan()
        assert (report.read, report.damaged, report.unregistered) == (0, {}, [])


def test_products_are_compared_by_presence_and_size(site, layout):
    task, home = site.commit("mosaic", "g")
    run = layout.run(home, task)
    manifest = Manifest.model_validate_json((run / "manifest.json").read_text())
    check_products(run, manifest)
    longer = manifest.products[0].model_copy(update={"bytes": 12})
    with pytest.raises(Damaged, match=r"has 11 bytes, manifest.json of its run says 12"):
        check_products(run, manifest.model_copy(update={"products": (longer,)}))
    absent = manifest.products[0].model_copy(update={"path": "other.fits"})
    with pytest.raises(Damaged, match=r"other.fits is missing"):
        check_products(run, manifest.model_copy(update={"products": (absent,)}))


def test_threads_may_share_a_keeper(site, layout):
    """Registrations come in threads while the engine's host asks for facts."""
    runs = [site.commit("convert", f"u{n}") for n in range(24)]
    with Keeper(layout) as keeper:
        failures = []

        def work(part):
            try:
                for task, home in part:
                    keeper.register_run(task, home)
                    keeper.facts()
                    keeper.queries.runs()
            except Exception as error:  # noqa: BLE001 - reported to the test
                failures.append(error)

        threads = [threading.Thread(target=work, args=(runs[start::4],)) for start in range(4)]
        for thread in threads:
            thread.start()
        keeper.scan()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(keeper.facts().runs) == 24
