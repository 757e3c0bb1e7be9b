"""The keeper over a real nats-server, and its process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from keeper_site import T0, Site, everything, task_of
from sites import points

from contimg.bus import Bus
from contimg.errors import BadInput, Damaged, Unavailable
from contimg.keeper import keeper as keeper_module
from contimg.keeper.keeper import Keeper
from contimg.keeper.service import KeeperClient, serve_keeper
from contimg.limits import ProtocolLimits
from contimg.models.fact import IngestFact, Needs, UnsealedFact
from contimg.servers.nats import NatsServer
from contimg.volume.layout import Layout

pytestmark = pytest.mark.integration
LIMITS = ProtocolLimits(page_bytes=2000, rpc_s=5.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with NatsServer(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture
def site(tmp_path):
    return Site(Layout(tmp_path / "stage", tmp_path / "data"))


async def connect(server):
    return await Bus.connect(server.url, server.user, server.password, shard="s", limits=LIMITS)


@pytest.fixture
async def client(server, site):
    with Keeper(site.layout, LIMITS) as keeper:
        async with await connect(server) as bus:
            await serve_keeper(bus, keeper, "s")
            asked = KeeperClient(bus, "s")
            asked.keeper = keeper
            yield asked


async def register(client, **payload):
    """Say what workers say."""
    await client._ask("register", payload)


async def test_what_is_registered_over_the_bus_comes_back_as_facts(site, client):
    convert = site.commit("convert", "2026-01-25T22:00:00")
    mosaic = site.commit("mosaic", "g", inputs=[convert])
    publish = site.publish([mosaic])
    for task, home in (convert, mosaic, publish):
        await register(client, kind="run", task=task, home=home)
    site.archive(publish[0])
    await register(client, kind="group", record=site.group(publish[0]).model_dump(mode="json"))
    site.attempt(convert[0], 1, "committed")
    await register(client, kind="attempt", task=convert[0], number=1)
    site.observation(0)
    ingest = IngestFact(scanned=T0, unsealed=(UnsealedFact(start=T0, sentence="waits for sb03"),))
    site.layout.ingest_fact.write_text(ingest.model_dump_json())
    tasks = (convert[0], mosaic[0], publish[0])
    needs = Needs(group="g", tasks=tasks, start=T0, units=(("mosaic", "g"),))
    facts = await client.facts(needs)
    assert facts == client.keeper.facts(needs)
    assert set(facts.runs) == set(tasks)
    assert set(facts.tries) == {convert[0]}
    assert (facts.ingest, facts.record.task) == (ingest, publish[0])
    survey = await client.survey(T0)
    assert [item.id for item in survey.observations] == ["2026-01-25T22:00:00"]


async def test_answers_of_many_pages(site, client):
    """A page holds 2000 bytes here."""
    for unit in range(40):
        task, home = site.commit("convert", f"u{unit}")
        await register(client, kind="run", task=task, home=home)
    tasks = tuple(task_of(f"convert u{unit} a") for unit in range(40))
    facts = await client.facts(Needs(group="g", tasks=tasks))
    assert len(facts.model_dump_json()) > 5 * LIMITS.page_bytes
    assert set(facts.runs) == set(tasks)


async def test_many_inputs_are_kept_under_their_digest(client, site):
    wanted = {"image": [task_of(str(n)) for n in range(600)]}
    digest = await client.put_inputs(wanted)
    assert await client.inputs(digest) == {"image": tuple(wanted["image"])}
    assert await client.put_inputs(wanted) == digest
    with pytest.raises(BadInput, match=r"inputs 00 are not in .*ask for the task again"):
        await client.inputs("00")
    path = site.layout.state / "inputs" / f"{digest}.json"
    path.write_text('{"image": []}')
    with pytest.raises(Damaged, match="does not match its name"):
        await client.inputs(digest)


async def test_wanted_in_several_messages(client, monkeypatch):
    monkeypatch.setattr("contimg.keeper.service.TASKS_AT_ONCE", 2)
    tasks = {task_of(str(n)) for n in range(5)}
    await client.wanted(tasks)
    await client.wanted([])
    assert {row["task"] for row in client.keeper.index.rows("products", "SELECT task FROM wanted")} == tasks


async def test_errors_travel_by_their_class(client):
    with pytest.raises(Damaged, match=r"manifest.json cannot be read"):
        await register(client, kind="run", task=task_of("x"), home="raw_ms")
    with pytest.raises(BadInput, match="cannot take kind 'song'"):
        await register(client, kind="song")
    with pytest.raises(BadInput, match="cannot read the request"):
        await register(client)


async def test_a_silent_keeper_is_unavailable(server):
    async with await connect(server) as bus:
        with pytest.raises(Unavailable, match="is the keeper running"):
            await KeeperClient(bus, "nobody").facts(Needs(group="g"))


def environment(site, server):
    return {
        **os.environ,
        "CONTIMG_STAGE_BASE": str(site.layout.stage_base),
        "CONTIMG_DATA_BASE": str(site.layout.data_base),
        "CONTIMG_NATS_URL": server.url,
        "CONTIMG_NATS_USER": server.user,
        "CONTIMG_NATS_PASSWORD": server.password,
        "CONTIMG_SHARD": "p",
    }


async def test_the_process_serves_and_ends_on_sigterm(site, server):
    task, home = site.commit("mosaic", "g")
    process = subprocess.Popen(  # noqa: ASYNC220 - a process of its own is what is tested
        [sys.executable, "-m", "contimg.keeper"], env=environment(site, server), stderr=subprocess.PIPE
    )
    try:
        assert any(b"keeper serves" in line for line in process.stderr)
        async with await connect(server) as bus:
            asked = KeeperClient(bus, "p")
            await register(asked, kind="run", task=task, home=home)
            assert set((await asked.facts(Needs(group="g", tasks=(task,)))).runs) == {task}
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def line(process, text):
    """Return the next line of the log with a text."""
    return next(each for each in process.stderr if text in each)


def test_a_second_keeper_waits_and_follows_the_first(site, server):
    command = [sys.executable, "-m", "contimg.keeper"]
    with contextlib.ExitStack() as running:

        def start():
            process = subprocess.Popen(command, env=environment(site, server), stderr=subprocess.PIPE)
            running.callback(process.kill)
            return process

        first = start()
        assert line(first, b"keeper serves")
        second = start()
        assert f"keeper.lock is held by pid {first.pid} on".encode() in line(second, b"waits for the state directory")
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
        assert line(second, b"keeper serves")


def work(site, tasks):
    """Tell a new keeper of what lies on disk."""
    with Keeper(site.layout) as keeper:
        for task, home in tasks:
            if home == "metadata":
                keeper.register_group(site.group(task))
            keeper.register_run(task, home)
            keeper.register_attempt(task, 1)
        keeper.scan()


def clean(site):
    """Clean up with a new keeper when everything is old."""
    now = datetime.now(UTC) + timedelta(days=400)
    with Keeper(site.layout) as keeper:
        keeper.wanted([], now)
        keeper.clean(now)


def killed_at(name, function, *arguments):
    """Run a function in a process of its own that is killed at a crash point; forked, since imports cost a second."""
    child = os.fork()
    if child == 0:
        os.environ["CONTIMG_CRASH"] = name
        try:
            function(*arguments)
        finally:
            os._exit(1)  # the point was not met
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


HOME = Path(keeper_module.__file__).parent
FILES = sorted({name for path in HOME.glob("*.py") for name in points(path) if not name.startswith("index.")})
"""At the durable writer; those at the databases are counted."""
CLEAN = [name for name in FILES if "@cleanup." in name]
BUILD = [name for name in FILES if "@keeper." in name or "@published." in name]
BUILD = [name for name in BUILD if "rules" not in name]
TRANSACTIONS = [f"index.{side}:{number}" for side in ("before", "after") for number in range(1, 22, 2)]


def prepared(site):
    """What workers left on disk before the keeper hears of it."""
    info = {"mode": "own", "calibrator": "3C48", "transit": T0.isoformat(), "dec_deg": 33.2}
    convert = site.commit("convert", "2026-01-25T22:00:00")
    solve = site.commit("solve", "g", name="g_bpcal", info=info, inputs=[convert])
    mosaic = site.commit("mosaic", "g", inputs=[solve])
    publish = site.publish([convert, solve, mosaic])
    site.archive(publish[0])
    site.observation(0)
    runs = [convert, solve, mosaic, publish]
    for task, _ in runs:
        site.attempt(task, 1, "committed")
    return runs


@pytest.mark.parametrize("name", BUILD + TRANSACTIONS)
def test_a_keeper_killed_anywhere_ends_with_the_same_facts(site, name):
    """Killed at the point, started again, told the same again: the facts are those of a keeper that lived."""
    tasks = prepared(site)
    assert killed_at(name, work, site, tasks)
    work(site, tasks)
    with Keeper(site.layout) as keeper:
        found, rows, damaged = everything(keeper), list(keeper.queries.rows("products")), keeper.queries.damaged()
        assert keeper.report.damaged == {}
    for path in site.layout.databases.values():
        path.unlink()
    with Keeper(site.layout) as keeper:
        assert everything(keeper) == found
        assert list(keeper.queries.rows("products")) == rows
    assert damaged == []
    assert len(found.runs) == len(found.tries) == 4
    assert found.record.current
    assert {row["state"] for row in rows} == {"published", "staging"}


@pytest.mark.parametrize("name", [name for name in CLEAN if "clean_failed" not in name and "empty_trash" not in name])
def test_a_clean_up_killed_anywhere_is_finished_by_the_next(site, name):
    with Keeper(site.layout) as keeper:
        for unit in ("a", "b"):
            task, home = site.commit("convert", unit)
            site.name(task, home)
            keeper.register_run(task, home)
    abandoned = site.layout.active("imaging") / "x-1"
    abandoned.mkdir(parents=True)
    assert killed_at(name, clean, site)
    clean(site)
    assert not abandoned.exists()
    left = [path for path in site.layout.home("raw_ms").rglob("*") if path.is_symlink() or path.is_file()]
    assert left == []
    with Keeper(site.layout) as keeper:
        assert [run.present for run in everything(keeper).runs.values()] == [False, False]
        assert {row["state"] for row in keeper.queries.rows("products")} == {"released"}
        assert keeper.report.damaged == {}
