from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from metered import value
from nats_fixture import eventually
from toy_stages import SPEC, toy_task

from contimg.bus import Asked
from contimg.process import Health, Process
from contimg.settings import Settings
from contimg.streams import rpc_subject
from contimg.volume.attempt import read_records
from contimg.volume.commit import read_run
from contimg.worker.admission import Admission
from contimg.worker.worker import register_over, serve


async def test_a_task_becomes_one_run_with_names_record_events_and_ack(bench):
    task = toy_task()
    async with bench.working():
        assert await bench.bus.ask(task) is Asked.ACCEPTED
        (committed,) = await bench.heard("committed")
        await bench.drained()
    run = read_run(bench.layout, "image", task.task)
    assert [p.path for p in run.manifest.products] == ["toy.tree", "toy.txt", "toy.txt"]
    assert run.manifest.info == {"unit": task.unit, "nan": None}
    assert not (run.path / "scratch.tmp").exists()
    assert not (run.path / "toy.txt").stat().st_mode & stat.S_IWUSR
    assert "toy write" in (run.path / "log.txt").read_text()
    name = bench.layout.home("image") / task.date / f"{task.unit}.txt"
    assert name.is_symlink()
    assert name.read_text() == "hello"
    catalog = bench.layout.home("catalog") / task.date / f"{task.unit}.cat"
    assert not catalog.is_symlink()
    assert catalog.samefile(run.path / "toy.txt")
    (record,) = read_records(bench.layout, task.task)
    assert record.state == "committed"
    assert record.usage.peak_bytes > 1_000_000
    assert bench.registered == [{"kind": "run", "task": task.task, "home": "image", "number": 1}]
    assert committed.data["verdict"] == "pass"
    assert not list(bench.layout.active("toying").iterdir())
    assert json.loads((run.path / "attempt.json").read_text())["state"] == "committed"


@contextlib.asynccontextmanager
async def serving(bench, server, monkeypatch, grace_s=60.0):
    """Run the body of a stage's container in this process, with a keeper that takes everything."""

    async def handler(_payload):
        return {}

    spec = SPEC.model_copy(update={"time_limit_s": grace_s})
    monkeypatch.setattr("contimg.worker.worker.spec_of", lambda _name: spec)
    await bench.bus.serve(rpc_subject("main", "register"), handler)
    settings = Settings(nats_url=server.url, nats_user=server.user, nats_password=server.password)
    process = Process("toy", settings, bench.layout, Health(30.0))
    process.limits = bench.limits
    running = asyncio.create_task(process.run(serve))
    try:
        yield process, running
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_sigterm_lets_it_finish(bench, server, tmp_path, monkeypatch):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    task = toy_task("gate", path=str(gate))
    async with serving(bench, server, monkeypatch) as (_, running):
        await bench.bus.ask(task)
        await eventually(Path(f"{gate}.here").exists)
        assert value("contimg_in_hand", stage="toy") == 1
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.to_thread(gate.write_bytes, b"go")
        assert (await asyncio.wait({running}, timeout=20))[0]
    assert value("contimg_in_hand", stage="toy") == 0
    assert value("contimg_tasks_total", stage="toy", outcome="dead") is not None, "shown from 0 on"
    assert value("contimg_memory_limit_bytes", stage="toy") > 0
    assert read_run(bench.layout, "image", task.task) is not None


@pytest.mark.parametrize("grace_s", [0.2, 60.0])
async def test_the_end_of_the_grace_period_and_a_second_signal_hand_back(bench, server, tmp_path, monkeypatch, grace_s):
    note = tmp_path / "pid"
    task = toy_task("hang", path=str(note))
    async with serving(bench, server, monkeypatch, grace_s) as (process, running):
        await bench.bus.ask(task)
        child = int(await eventually(lambda: note.exists() and note.read_text()))
        os.kill(os.getpid(), signal.SIGTERM)
        if grace_s > 1:
            await eventually(process.stopping.is_set)
            os.kill(os.getpid(), signal.SIGTERM)
        assert (await asyncio.wait({running}, timeout=20))[0]
    assert not psutil.pid_exists(child)
    assert [(r.error, r.counted) for r in read_records(bench.layout, task.task)] == [("Retryable", False)]
    await (await bench.bus.fetch("toy")).term()


def children():
    return [one for one in psutil.Process().children() if "contimg.worker.child" in one.cmdline()]


async def test_a_child_without_work_is_ended_and_the_next_task_starts_another(bench):
    limits = replace(bench.limits, child_idle_s=0.1, fetch_s=5.0)
    async with bench.working(limits=limits):
        await bench.bus.ask(toy_task(text="one"))
        await bench.heard("committed")
        await eventually(
            lambda: not [one for one in psutil.Process().children() if "contimg.worker.child" in one.cmdline()]
        )
        await bench.bus.ask(toy_task(text="two"))
        await bench.heard("committed", 2)


async def test_it_registers_over_the_bus(bench):
    asked = []

    async def handler(payload):
        asked.append(payload)
        return {}

    await bench.bus.serve(rpc_subject("main", "register"), handler)
    task = toy_task()
    async with bench.working(register=register_over(bench.bus)):
        await bench.bus.ask(task)
        await bench.heard("committed")
    assert asked == [{"kind": "run", "task": task.task, "home": "image", "number": 1}]


async def test_two_slots_work_at_the_same_time_and_share_the_jobs(bench, tmp_path):
    gates = [tmp_path / "a", tmp_path / "b"]
    for gate in gates:
        os.mkfifo(gate)
    async with bench.working(slots=2):
        for gate in gates:
            await bench.bus.ask(toy_task("gate", path=str(gate)))
        for gate in gates:
            await eventually(Path(f"{gate}.here").exists)
        for gate in gates:
            await asyncio.to_thread(gate.write_bytes, b"go")
        await bench.heard("committed", 2)
        await bench.drained()


async def test_one_job_at_a_time_and_the_waiting_message_stays_in_hand(bench, tmp_path):
    gate = tmp_path / "a"
    os.mkfifo(gate)
    async with bench.working(slots=2, admission=Admission(1, 0)):
        await bench.bus.ask(toy_task("gate", path=str(gate)))
        await eventually(Path(f"{gate}.here").exists)
        await bench.bus.ask(toy_task(text="second"))
        async with asyncio.timeout(10):
            while (await bench.bus._jetstream.consumer_info("CONTIMG_TASKS", "main-toy")).num_ack_pending < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(bench.of("started")) == 1
        await asyncio.to_thread(gate.write_bytes, b"go")
        await bench.heard("committed", 2)
        await bench.drained()
    assert {event.data["attempt"] for event in bench.of("committed")} == {1}
