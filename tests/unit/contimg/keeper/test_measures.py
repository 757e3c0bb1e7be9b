"""What the keeper shows of its disks."""

from __future__ import annotations

import fcntl
import os
import shutil
import time

import pytest
from keeper_site import task_of
from metered import labelled, value

from contimg.keeper.keeper import Keeper
from contimg.keeper.measures import measure
from contimg.limits import DAY_S


@pytest.fixture
def keeper(layout):
    layout.state.mkdir(parents=True)
    layout.stage_base.mkdir(parents=True)
    with Keeper(layout) as opened:
        yield opened


def looked(keeper):
    measure(keeper.layout, keeper.index, keeper.limits)


def test_products_are_counted_by_type_and_directory(keeper, site):
    runs = [site.commit("mosaic", name, content="x" * 1000) for name in ("a", "b")]
    runs.append(site.commit("convert", "u", content="y" * 500))
    for task, home in runs:
        keeper.register_run(task, home)
    looked(keeper)
    assert labelled("contimg_data_bytes") == {
        ("mosaic", "staging", "mosaics"): 2000,
        ("raw_ms", "staging", "raw/ms"): 500,
    }
    assert labelled("contimg_products")["mosaic", "staging", "mosaics"] == 2
    assert labelled("contimg_runs") == {("mosaic", "pass"): 2, ("raw_ms", "pass"): 1}


def test_what_was_cleaned_up_is_gone_and_what_was_published_stays(keeper, site):
    mosaic = site.commit("mosaic", "g", content="x" * 1000)
    plan = site.publish([mosaic])
    for task, home in (mosaic, plan):
        keeper.register_run(task, home)
    keeper.register_group(site.group(plan[0]))
    shutil.rmtree(keeper.layout.run("mosaic", mosaic[0]))
    with keeper.index.begin("products") as connection:
        connection.execute("UPDATE runs SET kept = 0 WHERE task = ?", (mosaic[0],))
    looked(keeper)
    found = labelled("contimg_data_bytes")
    assert ("mosaic", "staging", "mosaics") not in found
    assert found["mosaic", "archive", "products/mosaics"] == 1000


def test_more_runs_than_one_query_takes(keeper, site, monkeypatch):
    monkeypatch.setattr("contimg.keeper.measures.BATCH", 2)
    for number in range(5):
        keeper.register_run(*site.commit("mosaic", f"g{number}"))
    looked(keeper)
    assert labelled("contimg_products") == {("mosaic", "staging", "mosaics"): 5}


def test_growth_of_failed_is_seen(keeper):
    looked(keeper)
    assert (value("contimg_failed_files"), value("contimg_failed_bytes")) == (0, 0)
    day = keeper.layout.failed / "2026-01-25"
    (day / "job").mkdir(parents=True)
    (day / "job" / "kept.json").write_text("12345")
    (day / "job_error.log").write_text("1234567")
    looked(keeper)
    assert (value("contimg_failed_files"), value("contimg_failed_bytes")) == (2, 12)


@pytest.mark.parametrize(
    ("held", "age_s", "state"),
    [(True, 0.0, "running"), (True, 8 * DAY_S, "overdue"), (False, 0.0, "abandoned")],
)
def test_an_attempt_is_at_work_stuck_or_left_behind(keeper, held, age_s, state):
    layout, task = keeper.layout, task_of("t")
    path = layout.active("imaging") / f"{task}-1"
    path.mkdir(parents=True)
    (path / "attempt.json").write_text("{}")
    begun = time.time() - age_s
    os.utime(path / "attempt.json", (begun, begun))
    layout.locks.mkdir(parents=True)
    with (layout.locks / task).open("w") as lock:
        if held:
            fcntl.flock(lock, fcntl.LOCK_EX)
        looked(keeper)
    found = {key: count for key, count in labelled("contimg_workspace_attempts").items() if count}
    assert found == {("imaging", state): 1}
    assert value("contimg_workspace_bytes", workspace="imaging") == 2


def test_a_stage_without_attempts_shows_zero(keeper):
    looked(keeper)
    assert value("contimg_workspace_attempts", workspace="mosaicking", state="overdue") == 0


def test_free_space_of_each_disk(keeper):
    looked(keeper)
    assert 0 < value("contimg_disk_free_bytes", disk="staging") < value("contimg_disk_size_bytes", disk="staging")
    assert ("archive",) not in labelled("contimg_disk_free_bytes"), "nothing was published yet: no such directory"
