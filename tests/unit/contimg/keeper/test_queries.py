from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from keeper_site import T0, everything

from contimg.errors import BadConfig, BadInput
from contimg.keeper import queries
from contimg.keeper.keeper import Keeper
from contimg.keeper.queries import LOST, Chosen
from contimg.keeper.readonly import open_readonly
from contimg.models.fact import Needs
from contimg.volume.attempt import TaskLock


@pytest.fixture
def chain(site, layout):
    """Raw file -> MS -> mosaic, registered, named and archived."""
    site.observation(0)
    with Keeper(layout) as keeper:
        convert = site.commit("convert", "2026-01-25T22:00:00", raw=("2026-01-25/2200_sb00.hdf5",))
        mosaic = site.commit("mosaic", "g", inputs=[convert])
        publish = site.publish([mosaic])
        for task, home in (convert, mosaic, publish):
            site.name(task, home)
            keeper.register_run(task, home)
        site.archive(publish[0])
        keeper.register_group(site.group(publish[0]))
    return convert, mosaic


def places(site, layout, mosaic, tmp_path):
    task, home = mosaic
    copied = tmp_path / "sent by mail.fits"
    shutil.copy(layout.run(home, task) / "g.fits", copied)
    return {
        "run": layout.run(home, task) / "g.fits",
        "name": layout.home(home) / "2026-01-25" / "mosaic_g.fits",
        "archive": layout.archive / "mosaics" / "2026-01-25" / "mosaic_g.fits",
        "archive run": layout.archive / "mosaics" / ".runs" / task / "g.fits",
        "copy": copied,
    }


@pytest.mark.parametrize("place", ["run", "name", "archive", "archive run", "copy"])
def test_a_product_is_traced_back_to_its_raw_files_from_wherever_it_lies(site, layout, chain, tmp_path, place):
    convert, mosaic = chain
    with Keeper(layout) as keeper:
        found = keeper.queries.trace(places(site, layout, mosaic, tmp_path)[place])
    assert found.product == "mosaic_g"
    assert [step.stage for step in found.steps] == ["mosaic", "convert"]
    assert [step.task for step in found.steps] == [mosaic[0], convert[0]]
    assert found.steps[0].params == {"size": 64}
    assert found.raw == ("2026-01-25/2200_sb00.hdf5",)
    assert len(found.sha256) == 64


def test_a_raw_file_is_traced_forward(layout, chain):
    raw = layout.incoming / "2026-01-25" / "2200_sb00.hdf5"
    with Keeper(layout) as keeper:
        found = keeper.queries.trace(raw)
        assert found.product == "2026-01-25T22:00:00"
        assert found.used_by == (chain[0][0],)
        with pytest.raises(BadInput, match=r"x2200_sb00.hdf5 is not known here"):
            keeper.queries.trace(raw.with_name("x2200_sb00.hdf5"))


def test_an_unknown_file_is_told_so(layout, chain, tmp_path):
    (tmp_path / "other.fits").write_text("other")
    with Keeper(layout) as keeper, pytest.raises(BadInput, match=r"other.fits is not known here: .*check the path"):
        keeper.queries.trace(tmp_path / "other.fits")


def test_a_file_inside_a_directory_product_belongs_to_it(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        keeper.register_run(task, home)
        inside = layout.run(home, task) / "g.fits" / "table.f0"
        assert keeper.queries.trace(inside).product == "mosaic_g"


def test_rows_are_filtered_and_plain(site, layout, chain):
    site.attempt(chain[0][0], 1, "failed", error="BadInput")
    site.observation(5, "incomplete")
    with Keeper(layout) as keeper:
        ask = keeper.queries
        everything(keeper)  # whoever asks for a task's tries has them indexed

        def found(noun, **chosen):
            return list(ask.rows(noun, Chosen(**chosen)))

        assert [row["stage"] for row in found("runs", stage="mosaic", group="g")] == ["mosaic"]
        assert {row["data_id"] for row in found("products", state="published")} >= {"mosaic_g"}
        assert found("products", stage="convert", state="published") == []
        assert [row["message"] for row in found("attempts", state="failed", date="2026-01-25")] == ["try 1"]
        assert [row["id"] for row in found("observations")] == ["2026-01-25T22:00:00", "2026-01-25T22:05:00"]
        (row,) = found("observations", state="incomplete")
        assert (row["id"], row["found"], row["date"]) == ("2026-01-25T22:05:00", 1, "2026-01-25")
        assert found("observations", date="2026-01-26") == []
        assert ask.run(chain[1][0][:8]).stage == "mosaic"
        assert ask.run("") is None  # ambiguous


def test_an_open_attempt_whose_worker_is_gone_is_lost(site, layout, chain):
    living, lost = (site.attempt(task, 1, "running").task for task in ("a" * 32, "b" * 32))
    held = TaskLock.take(layout, living)
    held.touch()
    with Keeper(layout) as keeper:
        everything(keeper)
        for state, task in (("running", living), (LOST, lost)):
            assert [row["task"] for row in keeper.queries.rows("attempts", Chosen(state=state))] == [task]
        held.release()
        assert {row["state"] for row in keeper.queries.rows("attempts")} == {LOST}


def test_what_a_list_cannot_do_is_told(site, layout, chain):
    with Keeper(layout) as keeper:
        with pytest.raises(BadConfig, match=r"observations have no stage; observations are chosen by date, state"):
            list(keeper.queries.rows("observations", Chosen(stage="image")))
        for key in ("nowhere", "a/b/c", "%"):
            with pytest.raises(BadConfig, match=rf"there are no products with the key '{key}'"):
                list(keeper.queries.rows("products", Chosen(after=key)))


def test_a_long_list_is_made_as_it_is_taken(site, layout, monkeypatch):
    monkeypatch.setattr(queries, "PAGE", 2)
    with Keeper(layout) as keeper:
        for number in range(7):
            keeper.register_run(*site.commit("convert", f"u{number}"))
        dressed = []
        product_rows = queries.product_rows

        def counted(index, layout, rows):
            dressed.extend(rows)
            return product_rows(index, layout, rows)

        monkeypatch.setattr(queries, "product_rows", counted)
        rows = keeper.queries.rows("products")
        next(rows)
        assert len(dressed) == 2
        assert len(list(rows)) == 6


def test_reading_without_an_index_says_what_to_do(layout):
    with pytest.raises(BadConfig, match=r"there is no index at .*ingest.sqlite3; .* run contimg run first"):
        open_readonly(layout)


def test_reading_needs_no_right_to_write_when_no_keeper_lives(layout, chain):
    """Another user may look: SQLite would otherwise want to write beside the database."""
    for path in layout.state.glob("*.sqlite3"):
        path.chmod(0o444)
    layout.state.chmod(0o555)
    program = (
        "import os, pathlib, sys; from contimg.volume.layout import Layout\n"
        "from contimg.keeper.readonly import open_readonly\n"
        "import contimg.keeper.facts; os.geteuid() or os.setuid(65534)\n"
        "base = pathlib.Path(sys.argv[1]); ask = open_readonly(Layout(base / 'stage', base / 'data'))\n"
        "print(*(len(list(ask.rows(n))) for n in ('runs', 'products')))"
    )
    open_up(layout.state)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, str(layout.data_base.parent)],
            check=False, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    finally:
        layout.state.chmod(0o755)
    assert done.stdout.split() == ["3", "3"], done.stderr
    assert not list(layout.state.glob("*-wal"))


def open_up(path):
    """Let other users pass through the directories of the test."""
    for parent in [*path.parents][:-2]:
        if parent.owner() == path.owner() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)


def test_reading_beside_a_living_keeper_shows_its_latest_rows(site, layout):
    with Keeper(layout) as keeper:
        keeper.register_run(*site.commit("mosaic", "g"))
        ask = open_readonly(layout)
        assert len(list(ask.rows("runs"))) == 1
        keeper.register_run(*site.commit("convert", "u"))
        assert len(list(ask.rows("runs"))) == 2
        ask.index.close()


def test_what_a_killed_keeper_left_in_its_log_is_read(site, layout):
    program = (
        "import os, pathlib, sys; from contimg.volume.layout import Layout; from contimg.keeper.keeper import Keeper\n"
        "base = pathlib.Path(sys.argv[1]); keeper = Keeper(Layout(base / 'stage', base / 'data'))\n"
        "keeper.register_run(sys.argv[2], sys.argv[3]); os.kill(os.getpid(), 9)"
    )
    task, home = site.commit("mosaic", "g")
    subprocess.run([sys.executable, "-c", program, str(layout.data_base.parent), task, home], check=False)
    assert (layout.state / "products.sqlite3-wal").stat().st_size > 0
    ask = open_readonly(layout)
    assert [row["task"] for row in ask.rows("runs")] == [task]
    ask.index.close()


def test_looking_writes_nothing(site, layout, chain):
    """Neither at rest, nor when a task is asked for whose records nobody indexed."""
    site.attempt(chain[0][0], 1, "failed", error="Retryable")
    site.observation(5)
    before = {path: path.read_bytes() for path in layout.data_base.rglob("*") if path.is_file()}
    ask = open_readonly(layout)
    facts = ask.facts(Needs(group="g", tasks=(chain[0][0],), units=(("mosaic", "g"),), start=T0))
    assert facts.tries[chain[0][0]].failed == 1
    assert set(facts.runs) == {chain[0][0], chain[1][0]}
    assert len(facts.observations) == 1  # no keeper has seen the second
    assert facts.record.current
    for noun in ("runs", "products", "attempts", "observations", "quarantine"):
        list(ask.rows(noun))
    ask.index.close()
    assert {path: path.read_bytes() for path in layout.data_base.rglob("*") if path.is_file()} == before
