"""What changed on disk is read, once; what did not change is not looked at."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest
from keeper_site import T0, everything, task_of

from contimg.keeper import sources
from contimg.keeper.index import Index
from contimg.keeper.keeper import Keeper
from contimg.keeper.queries import Chosen


def refuse(layout, name, sentence="it is empty", date="2026-01-25"):
    """Write a quarantine record as ingest does."""
    path = layout.quarantine / date / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"path": f"/in/{name}", "reason": "empty", "sentence": sentence, "size": 0, "mtime_ns": 1, "time": T0}
    path.write_text(json.dumps(record, default=str))
    return path


def settle(root):
    """Let all directories look as if nothing had happened for a while."""
    old = time.time() - 100
    for path in [root, *(item for item in root.rglob("*") if item.is_dir())]:
        os.utime(path, (old, old))


def test_a_refused_file_is_listed_as_soon_as_recordings_are_asked_for(layout):
    with Keeper(layout) as keeper:
        refuse(layout, "a.hdf5")
        refuse(layout, "b.hdf5", date="unknown")
        keeper.survey(T0)
        assert len(list(keeper.queries.rows("quarantine"))) == 2


def test_quarantine_records_come_change_and_go(layout):
    with Keeper(layout) as keeper:
        path = refuse(layout, "a.hdf5")
        keeper.scan()
        (row,) = keeper.queries.rows("quarantine")
        assert (row["path"], row["reason"], row["sentence"]) == ("/in/a.hdf5", "empty", "it is empty")
        refuse(layout, "a.hdf5", "it is truncated now")
        refuse(layout, "b.hdf5", date="2026-01-26")
        keeper.scan()
        found = list(keeper.queries.rows("quarantine"))
        assert sorted(row["sentence"] for row in found) == ["it is empty", "it is truncated now"]
        assert len(list(keeper.queries.rows("quarantine", Chosen(date="2026-01-26")))) == 1
        path.unlink()
        keeper.scan()
        assert len(list(keeper.queries.rows("quarantine"))) == 1
        for item in (layout.quarantine / "2026-01-26").iterdir():
            item.unlink()
        (layout.quarantine / "2026-01-26").rmdir()
        keeper.scan()
        assert list(keeper.queries.rows("quarantine")) == []


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


def test_a_warm_start_lists_no_directory_that_did_not_change(site, layout, monkeypatch):
    for minutes in (0, 24 * 60):
        site.observation(minutes)
    with Keeper(layout) as keeper:
        keeper.register_run(*site.commit("mosaic", "g"))
    settle(layout.state)
    Keeper(layout).close()  # after this start all is known to stand still
    listed = []
    monkeypatch.setattr(sources, "_files", lambda root: listed.append(root) or {})
    Keeper(layout).close()
    assert listed == []
    monkeypatch.undo()
    site.observation(24 * 60 + 5)
    with Keeper(layout) as keeper:
        assert keeper.report.read == 1


def test_a_directory_that_changed_just_now_is_looked_at_again(site, layout):
    """Two changes within one tick of the clock have one time stamp."""
    site.observation(0)
    with Keeper(layout) as keeper:
        day = layout.observations / "2026-01-25"
        before = day.stat()
        site.observation(5)
        os.utime(day, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert keeper.scan().read == 1


def test_a_keeper_killed_between_its_databases_writes_the_rest(site, layout, monkeypatch):
    task, home = site.commit("mosaic", "g")
    with Keeper(layout) as keeper:
        begin = Index.begin

        def die(self, name):
            if name == "products":
                raise SystemExit
            return begin(self, name)

        monkeypatch.setattr(Index, "begin", die)
        with pytest.raises(SystemExit):
            keeper.register_run(task, home)
        monkeypatch.undo()
    with Keeper(layout) as keeper:
        assert keeper.report.read == 1
        assert everything(keeper).runs[task].present


def test_a_manifest_under_another_name_or_date_is_damaged(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        keeper.register_run(task, home)
        day = layout.manifests / "2026-01-25"
        other = task_of("other")
        (day / f"{task}.json").rename(day / f"{other}.json")
        (sentence,) = keeper.scan().damaged.values()
        assert f"{other}.json holds the record of {task}; move it away or to where it belongs" in sentence
        assert keeper.queries.run(task) is None
        (layout.manifests / "2026-01-26").mkdir()
        (day / f"{other}.json").rename(layout.manifests / "2026-01-26" / f"{task}.json")
        assert len(keeper.scan().damaged) == 1
        (layout.manifests / "2026-01-26" / f"{task}.json").rename(day / f"{task}.json")
        assert keeper.scan().damaged == {}
        assert keeper.queries.damaged() == []
        assert everything(keeper).runs[task].present


def test_what_is_being_written_is_not_looked_at(site, layout):
    """Names with a leading dot: drafts of records, copies of a run from another disk, runs being deleted."""
    with Keeper(layout) as keeper:
        for directory in (layout.manifests / "2026-01-25", layout.observations / "2026-01-25", layout.groups):
            directory.mkdir(parents=True)
            (directory / ".x.json.123.tmp").write_text("{")
            (directory / ".x.json").write_text("{")
        report = keeper.scan()
        assert (report.read, report.damaged) == (0, {})


def test_threads_may_share_a_keeper(site, layout):
    """Registrations come in threads while the engine's host asks for facts."""
    runs = [site.commit("convert", f"u{n}") for n in range(24)]
    with Keeper(layout) as keeper:
        failures = []

        def work(part):
            try:
                for task, home in part:
                    keeper.register_run(task, home)
                    everything(keeper)
                    list(keeper.queries.rows("runs"))
            except Exception as error:  # noqa: BLE001 - reported to the test
                failures.append(error)

        threads = [threading.Thread(target=work, args=(runs[start::4],)) for start in range(4)]
        for thread in threads:
            thread.start()
        keeper.scan()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(everything(keeper).runs) == 24


def test_a_scan_in_batches_holds_no_transaction_between_them(site, layout, monkeypatch):
    monkeypatch.setattr(sources, "BATCH", 2)
    for minutes in range(0, 25, 5):
        site.observation(minutes)
    with Keeper(layout) as keeper:
        (layout.observations / "2026-01-25").joinpath("x").touch()  # the directory is listed again
        batches = []
        put = sources.OBSERVATIONS.put

        def watched(index, layout, batch):
            with index.begin("ingest") as connection:  # nobody else has it
                connection.execute("UPDATE observations SET role = role")
            batches.append(len(batch))
            put(index, layout, batch)

        with keeper.index.begin("ingest") as connection:
            connection.execute("UPDATE observations SET stamp = ''")
        source = sources.Source(**{**vars(sources.OBSERVATIONS), "put": watched})
        sources.sync(layout, keeper.index, source, sources.ScanReport())
        assert batches == [2, 2, 1]
