"""One machine: what is checked before anything starts, a run to its end on a real bus, and that it cleans up."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from engine_world import START
from keeper_site import Site

from contimg.errors import BadConfig
from contimg.host import local
from contimg.host.local import LocalOptions, Progress, run_here
from contimg.host.look import look_at
from contimg.host.store import ResourceStore
from contimg.keeper.keeper import Keeper
from contimg.models.group import ObservationGroup
from contimg.models.instrument import pipeline
from contimg.process import in_daemon
from contimg.volume.layout import Layout

DSA = pipeline("dsa110-continuum")
OLD = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = """\
kind: ObservationGroup
metadata: {name: g}
spec: {pipeline: dsa110-continuum, observations: {start: 2026-01-25T22:00:13Z, count: 1}}
"""


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path / "stage", tmp_path / "data")
    made.incoming.mkdir(parents=True)
    return made


@pytest.fixture
def options(layout, tmp_path):
    (tmp_path / "g.yaml").write_text(TEXT)
    return LocalOptions(layout, (tmp_path / "g.yaml",))


def group(**spec):
    wish = {"pipeline": "dsa110-continuum", "observations": {"start": START.isoformat(), "count": 1}} | spec
    return ObservationGroup.model_validate({"metadata": {"name": "g"}, "spec": wish})


def nothing(_progress):
    """Show nothing."""


@pytest.mark.integration
async def test_a_group_without_files_ends_and_says_what_is_missing(options, layout):
    seen: list[Progress] = []
    (outcome,) = await run_here(options, seen.append)
    assert outcome.status.phase in {"Waiting", "Stalled"}
    assert outcome.stages_run == 0
    assert outcome.status.message
    assert seen[-1].groups["g"] == outcome.status
    assert ResourceStore(layout).status("g") == outcome.status
    assert options.sources[0].with_name("g.status.yaml").is_file()


@pytest.mark.integration
async def test_a_group_whose_file_was_removed_is_no_part_of_the_result(options, layout, tmp_path, monkeypatch):
    other = tmp_path / "h.yaml"
    other.write_text(TEXT.replace("name: g", "name: h"))
    monkeypatch.setattr(local.Host, "is_over", lambda _host, names, **_: list(names) == ["g"])

    def show(progress):
        if set(progress.groups) == {"g", "h"}:
            other.unlink(missing_ok=True)

    (outcome,) = await run_here(LocalOptions(layout, (*options.sources, other)), show)
    assert outcome.group == "g"


@pytest.mark.integration
async def test_attempts_are_counted_for_the_group_that_asked_for_them(options, layout, tmp_path, monkeypatch):
    (tmp_path / "h.yaml").write_text(TEXT.replace("name: g", "name: h"))
    ran = local.Host.run

    async def run(host, until):
        for number, name in enumerate("ggh"):
            await host._bus.event("started", "convert", f"u{number}", {"task": "a" * 32, "group": name})
        await ran(host, until)

    monkeypatch.setattr(local.Host, "run", run)
    outcomes = await run_here(LocalOptions(layout, (*options.sources, tmp_path / "h.yaml")), nothing)
    assert {outcome.group: outcome.stages_run for outcome in outcomes} == {"g": 2, "h": 1}


@pytest.mark.integration
async def test_a_raw_file_that_is_refused_is_told_and_listed(options, layout):
    (layout.incoming / "2026-01-25T22:00:13_sb00.hdf5").write_text("no HDF5")
    seen: list[Progress] = []
    await run_here(options, seen.append)
    assert [sentence for sentence in seen[-1].told if "is no HDF5 file" in sentence]
    with Keeper(layout) as keeper:
        assert [row["reason"] for row in keeper.queries.rows("quarantine")] == ["unreadable"]


@pytest.mark.integration
async def test_such_a_run_cleans_up_too_and_lets_go_of_the_keeper(options, layout):
    """What nobody has wanted for long goes; its manifest stays."""
    site = Site(layout)
    site.finished = OLD
    task, home = site.commit("convert", "u")
    with Keeper(layout) as keeper:
        keeper.register_run(task, home)
        with keeper.index.begin("products") as writer:
            writer.execute("DELETE FROM wanted")
    await run_here(options, nothing)
    assert not layout.run(home, task).exists()
    assert list(layout.manifests.rglob(f"{task}.json"))
    Keeper(layout).close()


async def test_a_mistake_leaves_no_trace(layout, tmp_path):
    path = tmp_path / "g.yaml"
    path.write_text(TEXT.replace("pipeline:", "pipelin:"))
    with pytest.raises(BadConfig, match="pipelin"):
        await run_here(LocalOptions(layout, (path,)), nothing)
    path.write_text("kind: Pipeline\nmetadata: {name: p}\nspec: {instrument: dsa110, stages: []}\n")
    with pytest.raises(BadConfig, match="holds neither ObservationGroup nor Survey"):
        await run_here(LocalOptions(layout, (path,)), nothing)
    assert not layout.state.exists()
    assert not layout.stage_base.exists()


async def test_without_incoming_it_does_not_begin(options, layout):
    layout.incoming.rmdir()
    with pytest.raises(BadConfig, match=r"incoming does not exist; .* by --incoming"):
        await run_here(options, nothing)
    assert not (layout.state / "resources").exists()


async def test_an_object_store_without_keys_is_refused_before_anything_starts(layout, options, monkeypatch):
    monkeypatch.delenv("CONTIMG_S3_ACCESS_KEY", raising=False)
    with pytest.raises(BadConfig, match="CONTIMG_S3_ACCESS_KEY is not set"):
        await run_here(LocalOptions(layout, options.sources, s3="http://127.0.0.1:1/bucket"), nothing)
    assert not (layout.state / "nats").exists()


async def test_a_part_that_fails_ends_the_run_with_its_own_error(options, monkeypatch):
    async def broken(_keeper):
        raise BadConfig("the keeper has had enough")

    monkeypatch.setattr(local, "tend", broken)
    with pytest.raises(BadConfig, match="has had enough"):
        await run_here(LocalOptions(options.layout, options.sources, lasting=True), nothing)


async def test_a_file_that_never_answers_does_not_hold_up_an_interruption():
    never = threading.Event()
    looking = asyncio.create_task(in_daemon(never.wait))
    await asyncio.sleep(0.01)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    never.set()
    with pytest.raises(ZeroDivisionError):
        await in_daemon(lambda: 1 // 0)
    assert await in_daemon(lambda: 7) == 7


def test_to_look_changes_nothing(layout):
    site = Site(layout)
    record = site.observation(0)
    Keeper(layout).close()
    before = sorted(path for path in layout.data_base.rglob("*") if path.is_file())
    look = look_at(layout, group(observations={"members": [record.id]}), DSA)
    assert look.status.phase in {"Running", "Waiting"}
    assert sorted(path for path in layout.data_base.rglob("*") if path.is_file()) == before


def test_to_look_where_nothing_was_run_is_no_error(tmp_path):
    nowhere = Layout(tmp_path / "s", tmp_path / "d")
    assert look_at(nowhere, group(), DSA).status.phase in {"Waiting", "Stalled"}
    assert not (tmp_path / "d").exists()


def test_to_look_while_a_run_goes_on_tells_what_that_decided_last(layout, tmp_path):
    store = ResourceStore(layout)
    wish = store.put(group(), tmp_path / "g.yaml")
    said = look_at(layout, wish, DSA).status.model_copy(update={"message": "decided by the run"})
    store.put_status(wish, tmp_path / "g.status.yaml", said)
    with Keeper(layout):
        assert look_at(layout, wish, DSA).status == said
    assert look_at(layout, wish, DSA).status != said


def test_the_limits_of_the_environment_count_on_a_laptop_too(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTIMG_LIMIT_TRIES", "7")
    assert LocalOptions(Layout(tmp_path / "s", tmp_path / "d"), ()).limits.tries == 7
    monkeypatch.setenv("CONTIMG_LIMIT_TRIES", "many")
    with pytest.raises(BadConfig, match="CONTIMG_LIMIT_TRIES = 'many'"):
        LocalOptions(Layout(tmp_path / "s", tmp_path / "d"), ())
