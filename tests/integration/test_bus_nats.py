"""The bus against a real nats-server: what the protocol relies on, outages, lost streams, drift, RPC pages."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from nats.js import api
from nats_fixture import QUICK, Bench, connected, eventually
from toy_stages import layout_in, toy_task

from contimg.bus import Asked, Bus
from contimg.errors import BadConfig, BadInput, Unavailable
from contimg.limits import KIB
from contimg.servers.nats import NatsServer
from contimg.streams import DEAD, EVENTS, TASKS
from contimg.volume.commit import read_run

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path):
    with NatsServer(tmp_path / "nats") as running:
        yield running


@pytest.fixture
async def bus(server):
    async with connected(server) as ready:
        yield ready


@pytest.fixture
def bench(bus, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "tests/support:shared:services")
    return Bench(layout_in(tmp_path), bus)


async def test_streams_are_what_the_protocol_says(bus):
    tasks = (await bus._jetstream.stream_info(TASKS)).config
    assert (tasks.subjects, tasks.retention, tasks.discard) == (["contimg.task.>"], "workqueue", "new")
    assert (tasks.max_msgs_per_subject, tasks.discard_new_per_subject, tasks.max_age) == (1, True, 0)
    events = (await bus._jetstream.stream_info(EVENTS)).config
    assert (events.retention, events.discard, events.max_age) == ("limits", "old", 7 * 86400)
    assert (await bus._jetstream.stream_info(DEAD)).config.max_age == 30 * 86400
    consumer = (await bus._jetstream.consumer_info(TASKS, "main-toy")).config
    assert (consumer.filter_subject, consumer.ack_policy) == ("contimg.task.main.toy.*", "explicit")
    assert (consumer.max_deliver, consumer.max_ack_pending, consumer.ack_wait) == (-1, 100_000, QUICK.ack_wait_s)


async def test_the_same_task_is_held_once_while_queued_and_while_running(bus):
    task = toy_task()
    assert await bus.ask(task) is Asked.ACCEPTED
    assert await bus.ask(task) is Asked.ALREADY
    message = await bus.fetch("toy")
    assert message.parse() == task
    assert await bus.ask(task) is Asked.ALREADY
    await message.nak(0.01)
    assert await bus.ask(task) is Asked.ALREADY
    again = await bus.fetch("toy")
    assert again._message.metadata.num_delivered == 2
    await again.ack()
    assert await bus.ask(task) is Asked.ACCEPTED


async def test_a_terminated_task_can_be_asked_for_again(bus):
    await bus.ask(toy_task())
    await (await bus.fetch("toy")).term()
    await bus._client.flush()
    assert await bus.ask(toy_task()) is Asked.ACCEPTED


async def test_a_full_stream_is_told_apart(server):
    async with connected(server, replace(QUICK, stream_bytes=8 * KIB)) as small:
        answers = [await small.ask(toy_task(text=f"{number}" * 500)) for number in range(1, 12)]
        assert answers[0] is Asked.ACCEPTED
        assert answers[-1] is Asked.FULL
        assert await small.ask(toy_task(text="1" * 500)) is Asked.ALREADY


async def test_too_large_a_task_is_refused_in_words(bus):
    with pytest.raises(BadConfig, match="at most 65536 are allowed; select fewer observations"):
        await bus.ask(toy_task(text="x" * 70_000))


async def test_drift_is_mended_or_named(server):
    async with await Bus.connect(server.url, server.user, server.password, limits=QUICK) as bus:
        await bus._jetstream.add_stream(api.StreamConfig(name=DEAD, subjects=["contimg.dead.>"], max_bytes=999))
        assert await bus.ensure_streams(["toy"]) is True
        assert (await bus._jetstream.stream_info(DEAD)).config.max_bytes == QUICK.stream_bytes
        assert await bus.ensure_streams(["toy"]) is False
        await bus._jetstream.delete_stream(TASKS)
        wrong = api.StreamConfig(name=TASKS, subjects=["contimg.task.>"], storage=api.StorageType.MEMORY)
        await bus._jetstream.add_stream(wrong)
        with pytest.raises(BadConfig, match=r"stream CONTIMG_TASKS differs \(.*storage is 'memory'.*delete it"):
            await bus.ensure_streams()


async def test_consumers_follow_changed_limits(server, bus):
    async with connected(server, replace(QUICK, ack_wait_s=7.0)):
        assert (await bus._jetstream.consumer_info(TASKS, "main-toy")).config.ack_wait == 7.0


async def test_shards_do_not_see_each_other(server, bus):
    async with connected(server, QUICK, "east") as east:
        await east.ask(toy_task())
        assert await bus.ask(toy_task()) is Asked.ACCEPTED
        assert (await east.fetch("toy")).subject.startswith("contimg.task.east.toy.")


async def test_a_recreated_stream_is_bound_again(bench):
    async with bench.working():
        await bench.bus.ask(toy_task(text="a"))
        await bench.heard("committed")
        await bench.drained()
        await bench.bus._jetstream.delete_stream(TASKS)
        with pytest.raises(Unavailable):
            await bench.bus.ask(toy_task(text="b"))
        assert await bench.bus.ensure_streams(["toy"]) is True
        assert await bench.bus.ask(toy_task(text="b")) is Asked.ACCEPTED
        await bench.heard("committed", 2)


async def test_an_outage_kills_no_child_and_the_run_is_found_afterwards(bench, server, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    task = toy_task("gate", path=str(gate))
    async with bench.working():
        await bench.bus.ask(task)
        await eventually(Path(f"{gate}.here").exists)
        server.kill()
        await asyncio.to_thread(gate.write_bytes, b"go")
        run = await eventually(lambda: read_run(bench.layout, "image", task.task))
        assert run.manifest.attempt == 1
        server.start()
        await bench.drained()
    assert read_run(bench.layout, "image", task.task).manifest.attempt == 1
    name = bench.layout.home("image") / task.date / f"{task.unit}.txt"
    assert name.read_text() == "hello"


async def test_a_deleted_store_is_no_loss_when_the_task_is_asked_for_again(bench, server, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    task = toy_task("gate", path=str(gate))
    async with bench.working():
        await bench.bus.ask(task)
        await eventually(Path(f"{gate}.here").exists)
        await bench.bus._jetstream.delete_stream(TASKS)
        await bench.bus.ensure_streams(["toy"])
        assert await bench.bus.ask(task) is Asked.ACCEPTED  # a second message, while the first is worked on
        await asyncio.to_thread(gate.write_bytes, b"go")
        await bench.heard("committed", 2)
        await bench.drained()
    assert len(bench.of("started")) == 1
    assert read_run(bench.layout, "image", task.task).manifest.attempt == 1


async def test_rpc_in_pages_with_errors_by_class(bus):
    async def handler(payload):
        if "bad" in payload:
            raise BadInput("field 'bad' is bad")
        return {"text": "x" * payload["size"]}

    await bus.serve("contimg.rpc.main.facts", handler)
    size = 3 * QUICK.page_bytes + 17
    assert (await bus.request("contimg.rpc.main.facts", {"size": size}))["text"] == "x" * size
    with pytest.raises(BadInput, match="field 'bad' is bad"):
        await bus.request("contimg.rpc.main.facts", {"bad": 1})
    with pytest.raises(BadInput, match="cannot read the request"):
        await bus.request("contimg.rpc.main.facts", {})


async def test_nobody_serving_and_a_late_answer_are_unavailable(bus):
    with pytest.raises(Unavailable, match=r"nobody serves contimg\.rpc\.main\.facts"):
        await bus.request("contimg.rpc.main.facts", {})

    async def late(payload):
        await asyncio.Event().wait()

    await bus.serve("contimg.rpc.main.late", late)
    with pytest.raises(Unavailable, match=r"within 0\.05 s"):
        await bus.request("contimg.rpc.main.late", {}, timeout_s=0.05)


async def test_a_wrong_password_is_refused_for_good(server):
    with pytest.raises(BadConfig, match=f"nats-server at {server.url} refuses user 'contimg' .*mend CONTIMG_NATS_USER"):
        await Bus.connect(server.url, server.user, "wrong", timeout_s=20.0)


async def test_a_missing_server_is_named(server):
    server.stop()
    with pytest.raises(Unavailable, match=r"cannot be reached .*start it or mend its URL"):
        await Bus.connect(server.url, server.user, server.password, timeout_s=0.5)


async def test_a_password_that_changed_during_an_outage_ends_the_connection(server, tmp_path):
    async with await Bus.connect(server.url, server.user, server.password, limits=QUICK) as bus:
        server.stop()
        endpoint = server.directory / "endpoint.json"
        endpoint.write_text(json.dumps(json.loads(endpoint.read_text()) | {"password": "another"}))
        server.start()
        with pytest.raises(BadConfig, match="refuses user 'contimg'"):
            await asyncio.wait_for(bus.closed, 20.0)


async def test_an_outage_is_seen_and_its_end_too(server, bus):
    assert bus.connected
    server.kill()
    await eventually(lambda: not bus.connected)
    assert not bus.reconnected.is_set()
    server.start()
    await asyncio.wait_for(bus.reconnected.wait(), 20.0)
    assert bus.connected
    assert not bus.closed.done()


async def test_answers_come_to_inboxes_of_the_user(server, bus):
    assert bus._client.new_inbox().startswith("_INBOX_contimg.")


async def test_a_withdrawn_task_is_never_delivered(bus):
    first, second = toy_task(text="a"), toy_task(text="b")
    await bus.ask(first)
    await bus.ask(second)
    assert sorted(await bus.queued()) == sorted([("toy", first.task), ("toy", second.task)])
    await bus.withdraw("toy", first.task)
    assert await bus.queued() == [("toy", second.task)]
    assert (await bus.fetch("toy")).parse() == second
    assert await bus.queued() == [("toy", second.task)], "one that is worked on still lies there"


async def test_what_was_withdrawn_while_in_hand_says_so_and_its_ack_harms_nothing(bus):
    task = toy_task()
    await bus.ask(task)
    held = await bus.fetch("toy")
    assert not await held.withdrawn()
    await bus.withdraw("toy", task.task)
    assert await held.withdrawn()
    await held.in_progress()
    await held.ack(QUICK.rpc_s)
    assert await bus.ask(task) is Asked.ACCEPTED
    again = await bus.fetch("toy")
    assert not await again.withdrawn()
    await again.ack()


async def test_during_an_outage_nothing_counts_as_withdrawn(server):
    async with connected(server, replace(QUICK, rpc_s=0.2)) as bus:
        await bus.ask(toy_task())
        held = await bus.fetch("toy")
        server.kill()
        assert not await held.withdrawn()


async def test_a_queue_of_another_shard_is_left_alone(server, bus):
    async with connected(server, QUICK, "east") as east:
        await east.ask(toy_task())
        await bus.ask(toy_task())
        await bus.forget_tasks()
        assert await bus.queued() == []
        assert len(await east.queued()) == 1


async def test_a_host_that_is_alone_forgets_the_queue(bus):
    task = toy_task()
    assert await bus.ask(task) is Asked.ACCEPTED
    held = await bus.fetch("toy")
    assert held is not None
    assert await bus.ask(task) is Asked.ALREADY, "un-acked, as after a kill"
    await bus.forget_tasks()
    assert await bus.ask(task) is Asked.ACCEPTED
