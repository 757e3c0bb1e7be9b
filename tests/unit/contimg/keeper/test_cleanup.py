from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime, timedelta

import pytest
from keeper_site import everything

from contimg.keeper import cleanup
from contimg.keeper.cleanup import TRASH
from contimg.keeper.keeper import Keeper

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def start(site):
    site.finished = datetime.now(UTC)
    return site.finished


def settled(site, keeper, stage="convert", unit="u"):
    """A run with names that is wanted by nobody."""
    task, home = site.commit(stage, unit)
    site.name(task, home)
    keeper.register_run(task, home)
    return task, home


def test_a_run_goes_when_it_is_unwanted_and_past_its_retention(site, layout, start):
    with Keeper(layout) as keeper:
        task, home = settled(site, keeper)
        name = layout.home(home) / "science/2026-01-25/u.ms"
        assert name.is_symlink()
        now = start + 8 * DAY
        keeper.wanted([], now - MINUTE)
        assert keeper.clean(now).released == [task]
        assert not layout.run(home, task).exists()
        assert not name.is_symlink()
        assert not list(layout.runs(home).iterdir())
        assert not everything(keeper).runs[task].present
        assert next(keeper.queries.rows("products"))["state"] == "released"
        assert (layout.manifests / "2026-01-25" / f"{task}.json").is_file()
        assert keeper.clean(now).released == []
    with Keeper(layout) as keeper:
        assert not everything(keeper).runs[task].present


@pytest.mark.parametrize(
    ("stage", "said", "wanted_before", "age"),
    [
        ("convert", MINUTE, None, timedelta(hours=23)),  # not unwanted for a day
        ("convert", MINUTE, timedelta(hours=23), 100 * DAY),  # wanted less than a day ago
        ("convert", timedelta(minutes=31), None, 100 * DAY),  # the last word is too old
        ("image", MINUTE, None, 29 * DAY),  # its type is kept for 30 days
        ("group", MINUTE, None, 4000 * DAY),  # its type is kept for ever
    ],
)
def test_a_run_stays(site, layout, start, stage, said, wanted_before, age):
    with Keeper(layout) as keeper:
        task, _ = settled(site, keeper, stage)
        now = start + age
        if wanted_before is not None:
            keeper.wanted([task], now - wanted_before)
        keeper.wanted([], now - said)
        assert keeper.clean(now).released == []
        assert everything(keeper).runs[task].present


def test_a_keeper_that_nobody_told_what_is_wanted_deletes_nothing(site, layout, start):
    with Keeper(layout) as keeper:
        settled(site, keeper)
        assert keeper.clean(start + 100 * DAY).released == []


def test_names_that_lead_to_a_newer_run_stay(site, layout, start):
    with Keeper(layout) as keeper:
        old, home = site.commit("publish", "g")
        site.name(old, home)
        keeper.register_run(old, home)
        new, _ = site.commit("publish", "g", version="b")
        site.name(new, home)
        keeper.register_run(new, home)
        now = start + 91 * DAY
        keeper.wanted([new], now - MINUTE)
        assert keeper.clean(now).released == [old]
        name = layout.home(home) / "2026-01-25/g.fits"
        assert name.samefile(layout.run(home, new) / "g.fits")


def test_the_archive_is_never_touched(site, layout, start):
    with Keeper(layout) as keeper:
        task, home = settled(site, keeper, "mosaic", "g")
        publish, _ = site.publish([(task, home)])
        site.archive(publish)
        keeper.register_group(site.group(publish))
        validated = layout.products / "mosaics/2026-01-25/mosaic_g.fits"
        assert validated.samefile(layout.run(home, task) / "g.fits")
        now = start + 200 * DAY
        keeper.wanted([], now - MINUTE)
        assert keeper.clean(now).released == [task]
        assert (layout.archive / "mosaics/2026-01-25/mosaic_g.fits").read_text() == "mosaic g a\n"
        (row,) = keeper.queries.products(task)
        assert (row["state"], row["stage_path"]) == ("published", "")
        assert not validated.exists()  # a second link would keep the bytes on staging


def test_a_deletion_that_was_cut_off_is_finished(site, layout, start):
    with Keeper(layout) as keeper:
        task, home = settled(site, keeper)
        run = layout.run(home, task)
        run.rename(run.with_name(TRASH + task))
        keeper.scan()
        keeper.wanted([], start)
        keeper.clean(start)
        assert not list(layout.runs(home).iterdir())
        assert not (layout.home(home) / "science/2026-01-25/u.ms").is_symlink()
        assert not everything(keeper).runs[task].present


def test_a_run_made_again_beside_a_cut_off_deletion_stays(site, layout, start):
    with Keeper(layout) as keeper:
        task, home = settled(site, keeper)
        run = layout.run(home, task)
        run.rename(run.with_name(TRASH + task))
        keeper.scan()
        site.commit("convert", "u", attempt=2)
        site.name(task, home)
        keeper.register_run(task, home)
        keeper.wanted([], start)
        keeper.clean(start)
        assert [path.name for path in layout.runs(home).iterdir()] == [task]
        assert (layout.home(home) / "science/2026-01-25/u.ms").exists()


def age(path, now, how_old):
    then = (now - how_old).timestamp()
    for item in [*path.rglob("*"), path]:
        os.utime(item, (then, then))


def test_old_error_logs_go(layout, start):
    with Keeper(layout) as keeper:
        for word, days in (("old", 15), ("young", 13)):
            day = layout.failed / word
            (day / "kept").mkdir(parents=True)
            (day / "x_error.log").write_text("traceback")
            age(day, start, days * DAY)
        removed = keeper.clean(start).logs
        assert [path.name for path in removed] == ["kept", "x_error.log"]
        assert [path.name for path in layout.failed.iterdir()] == ["young"]


def test_abandoned_attempts_go_and_living_ones_stay(layout, start):
    with Keeper(layout) as keeper:
        base = layout.active("imaging")
        for name, hours in (("dead", 2), ("alive", 2), ("young", 0.5)):
            (base / name).mkdir(parents=True)
            (base / name / ".lock").touch()
            (base / name / "half.fits").touch()
            age(base / name, start, timedelta(hours=hours))
        with (base / "alive" / ".lock").open("w") as lock:
            age(base / "alive", start, timedelta(hours=2))
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert [path.name for path in keeper.clean(start).attempts] == ["dead"]
        assert sorted(path.name for path in base.iterdir()) == ["alive", "young"]


def test_damaged_runs_that_were_moved_aside_go_with_the_old_logs(site, layout, start):
    with Keeper(layout) as keeper:
        for name, days in (("old", 15), ("young", 13)):
            path = layout.runs("mosaic") / f"{name}.damaged-1"
            (path / "half").mkdir(parents=True)
            age(path, start, days * DAY)
        keeper.clean(start)
        assert [path.name for path in layout.runs("mosaic").iterdir()] == ["young.damaged-1"]


def test_a_run_that_comes_to_be_wanted_during_the_pass_stays(site, layout, start, monkeypatch):
    with Keeper(layout) as keeper:
        tasks = [settled(site, keeper, unit=name)[0] for name in ("a", "b")]
        now = start + 8 * DAY
        keeper.wanted([], now - MINUTE)
        delete = cleanup._delete

        def wanting(layout, index, task, home):
            keeper.wanted([other for other in tasks if other != task], now)
            delete(layout, index, task, home)

        monkeypatch.setattr(cleanup, "_delete", wanting)
        assert len(keeper.clean(now).released) == 1
        assert sum(run.present for run in everything(keeper).runs.values()) == 1


def test_after_a_rebuild_nothing_is_deleted_for_a_day(site, layout):
    """Nobody can know any more what was wanted yesterday."""
    site.finished = datetime.now(UTC) - 100 * DAY
    with Keeper(layout) as keeper:
        task, _ = settled(site, keeper)
    layout.databases["products"].unlink()
    with Keeper(layout) as keeper:
        now = datetime.now(UTC)
        keeper.wanted([], now)
        assert keeper.clean(now).released == []
        later = now + DAY + MINUTE
        keeper.wanted([], later)
        assert keeper.clean(later).released == [task]


def test_what_was_cleaned_up_is_no_candidate_ever_after(site, layout, start, monkeypatch):
    with Keeper(layout) as keeper:
        settled(site, keeper)
        now = start + 8 * DAY
        keeper.wanted([], now)
        keeper.clean(now)
        assert list(cleanup.due(keeper.index, keeper.limits, now + DAY)) == []
    layout.databases["products"].unlink()
    with Keeper(layout) as keeper:
        assert list(cleanup.due(keeper.index, keeper.limits, now + 400 * DAY)) == []
