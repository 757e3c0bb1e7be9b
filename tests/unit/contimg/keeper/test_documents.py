"""Rows made of records: what a run offers, products, and the databases of instruments."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keeper_site import T0, everything

from contimg.keeper import documents, schema
from contimg.keeper.documents import home_of, offer_of, text
from contimg.keeper.keeper import Keeper
from contimg.models.manifest import Manifest

OWN = {"mode": "own", "calibrator": "3C48", "transit": "2026-01-25T22:27:10", "dec_deg": 33.16}


@pytest.mark.parametrize(
    ("info", "offered"),
    [
        (OWN, True),
        (OWN | {"mode": "nearest"}, False),  # a copy: the run it came from is offered
        (OWN | {"transit": None}, False),
        (OWN | {"transit": "long ago"}, False),  # an older release wrote it
        ({}, False),
    ],
)
def test_a_run_offers_what_the_info_of_its_stage_says(site, layout, info, offered):
    task, home = site.commit("solve", "g", info=info)
    offer = offer_of(site.run(task, home).manifest)
    assert (offer is not None) is offered
    if offer is not None:
        assert (offer.at, offer.position_deg) == (T0 + timedelta(minutes=27, seconds=10), 33.16)


def test_a_run_of_a_stage_that_is_not_installed_is_known_and_offers_nothing(site):
    task, home = site.commit("mosaic", "g")
    manifest = site.run(task, home).manifest.model_copy(update={"stage": "of-the-future"})
    assert offer_of(manifest) is None
    assert home_of(manifest) == "mosaic"
    assert home_of(manifest.model_copy(update={"products": ()})) == ""


def test_a_run_made_again_with_other_products_leaves_no_rows_behind(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("solve", "g", info=OWN)
        keeper.register_run(task, home)
        layout.run(home, task).rename(layout.stage_base / "old")
        site.commit("solve", "g", name="other.table", info=OWN | {"mode": "nearest"}, attempt=2)
        keeper.register_run(task, home)
        assert [row["path"] for row in keeper.queries.products(task)] == ["other.table"]
        assert everything(keeper).offers == ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.datetimes(timezones=st.just(UTC), min_value=datetime(1951, 1, 1)), min_size=2, max_size=5))  # noqa: DTZ001 - hypothesis wants it so
def test_times_as_text_sort_as_times(times):
    assert [text(t) for t in sorted(times)] == sorted(text(t) for t in times)
    assert text(None) == ""


class Counting:
    """An instrument with a table of its own."""

    name = "counting"
    index_version = 1
    told = 0

    def index(self, transaction, records):
        self.told += len(records)
        transaction.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, kind TEXT)")
        rows = [(item.task, "run") if isinstance(item, Manifest) else (item.id, "observation") for item in records]
        transaction.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?)", rows)


def rows_of(layout):
    with closing(sqlite3.connect(layout.state / "counting.sqlite3")) as user:
        return sorted(kind for _, kind in user.execute("SELECT * FROM seen"))


def test_an_instrument_writes_rows_of_its_own_in_the_batch_and_gets_them_again(site, layout, monkeypatch):
    tool = Counting()
    for module in (documents, schema):
        monkeypatch.setattr(module, "instruments", lambda: {"counting": tool})
    record = site.observation(0).model_copy(update={"instrument": "counting"})
    layout.record(record).write_text(record.model_dump_json())
    site.observation(5)  # of another instrument
    with Keeper(layout) as keeper:
        keeper.register_run(*site.commit("mosaic", "g"))
    assert rows_of(layout) == ["observation", "run"]
    (layout.state / "counting.sqlite3").unlink()
    Keeper(layout).close()
    assert rows_of(layout) == ["observation", "run"]
    told = tool.told
    Keeper(layout).close()
    assert tool.told == told  # nothing is told twice
    tool.index_version = 2
    Keeper(layout).close()
    assert rows_of(layout) == ["observation", "run"]
    assert tool.told == told + 2


def test_an_instrument_that_fails_spoils_nothing(site, layout, monkeypatch):
    tool = Counting()
    for module in (documents, schema):
        monkeypatch.setattr(module, "instruments", lambda: {"counting": tool})
    with Keeper(layout) as keeper:
        monkeypatch.setattr(tool, "index", lambda *_: 1 / 0)
        task, home = site.commit("mosaic", "g")
        with pytest.raises(ZeroDivisionError):
            keeper.register_run(task, home)
        monkeypatch.undo()
        assert everything(keeper).runs == {}
