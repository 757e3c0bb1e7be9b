"""The worker is killed while its child is at work: the child dies with it, the next worker finds out and goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
from crash_worker import LIMITS, layout_of, scenario_task
from nats_fixture import Bench, connected, eventually

from contimg.servers.nats import NatsServer
from contimg.volume.attempt import read_records
from contimg.volume.commit import read_run

SCRIPT = Path(__file__).parents[1] / "support" / "crash_worker.py"


async def test_a_child_does_not_outlive_its_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests/support", "shared", "services"]))
    monkeypatch.setenv("CONTIMG_CRASH", "none")
    layout, task, gate = layout_of(tmp_path, "gate"), scenario_task(tmp_path, "gate"), tmp_path / "flag"
    layout.stage_base.mkdir(parents=True)
    os.mkfifo(gate)
    with NatsServer(tmp_path / "nats") as server:
        command = [sys.executable, str(SCRIPT), str(tmp_path), server.url, server.user, server.password, "a", "gate"]
        worker = subprocess.Popen(command)  # noqa: ASYNC220 - starts in no time
        here = Path(f"{gate}.here")
        child = int(await eventually(lambda: here.exists() and here.read_text()))
        worker.kill()
        worker.wait()
        await eventually(lambda: not psutil.pid_exists(child))
        here.unlink()  # noqa: ASYNC240 - same
        async with connected(server, LIMITS, "a") as bus:
            bench = Bench(layout, bus, LIMITS)
            async with bench.working():
                await eventually(here.exists)
                await asyncio.to_thread(gate.write_bytes, b"go")
                await bench.heard("committed")
                await bench.drained()
    assert [(r.error, r.counted, r.state.value) for r in read_records(layout, task.task)] == [
        ("WorkerLost", False, "failed"),
        ("", True, "committed"),
    ]
    assert read_run(layout, "image", task.task).manifest.attempt == 2
