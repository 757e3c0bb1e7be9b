from __future__ import annotations

import asyncio
import contextlib

import pytest
from keeper_site import everything
from nats_fixture import eventually

from contimg.errors import BadInput, Damaged, ResourceExhausted, Unavailable
from contimg.keeper.keeper import Keeper
from contimg.keeper.lock import holder
from contimg.keeper.service import HANDLERS, tend
from contimg.limits import ProtocolLimits
from contimg.volume import disk


async def test_a_tended_keeper_notices_and_cleans_by_itself(site, layout):
    limits = ProtocolLimits(scan_s=0.0, cleanup_s=0.0, abandoned_s=0.0)
    with Keeper(layout, limits) as keeper:
        task, home = site.commit("mosaic", "g")
        keeper.register_run(task, home)
        (layout.active("imaging") / "lost-1").mkdir(parents=True)
        tending = asyncio.create_task(tend(keeper))
        layout.run(home, task).rename(layout.stage_base / "elsewhere")
        lost = layout.active("imaging") / "lost-1"
        await eventually(lambda: not everything(keeper).runs[task].present and not lost.exists())
        tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tending


@pytest.mark.parametrize("failure", [Unavailable("the disk is away"), PermissionError(13, "Permission denied")])
async def test_tending_goes_on_after_a_failure(layout, monkeypatch, failure):
    with Keeper(layout, ProtocolLimits(scan_s=0.0, cleanup_s=0.0)) as keeper:
        calls = []

        def scan():
            calls.append(1)
            raise failure

        monkeypatch.setattr(keeper, "scan", scan)
        tending = asyncio.create_task(tend(keeper))
        await eventually(lambda: len(calls) >= 3)
        assert not tending.done()
        tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tending


def test_a_full_state_disk_is_an_outage_to_workers(site, layout, monkeypatch):
    """A worker tells the keeper again and again while it is unavailable; any other error would end its task."""
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")

        def full(path, _content):
            raise ResourceExhausted(f"{path} cannot be written: No space left on device")

        monkeypatch.setattr(disk, "write", full)
        with pytest.raises(Unavailable, match="cannot be written"):
            HANDLERS["register"](keeper, {"kind": "run", "task": task, "home": home})


def test_facts_for_a_window_and_a_wrong_verb(site, layout):
    with Keeper(layout) as keeper:
        for minutes in (0, 10, 20):
            site.observation(minutes)
        answer = HANDLERS["facts"](keeper, {"group": "g", "start": "2026-01-25T22:05:00Z"})
        assert [item["id"] for item in answer["observations"]] == ["2026-01-25T22:10:00", "2026-01-25T22:20:00"]
        answer = HANDLERS["survey"](keeper, {"start": None, "after": ""})
        assert len(answer["observations"]) == 3
        with pytest.raises(BadInput, match="it takes run, attempt, group"):
            HANDLERS["register"](keeper, {"kind": "runs"})


async def test_a_damaged_database_ends_the_keeper_so_that_it_is_started_again(layout, monkeypatch):
    with Keeper(layout, ProtocolLimits(scan_s=0.0, cleanup_s=0.0)) as keeper:

        def scan():
            raise Damaged("the database is damaged")

        monkeypatch.setattr(keeper, "scan", scan)
        with pytest.raises(Damaged):
            await tend(keeper)


def test_who_holds_the_lock_is_told_while_it_is_held(layout):
    assert holder(layout) == ""
    with Keeper(layout):
        assert holder(layout).startswith("pid ")
    assert holder(layout) == ""
