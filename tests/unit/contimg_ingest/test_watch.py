from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import structlog

from contimg.errors import BadConfig, ResourceExhausted
from contimg.models.fact import IngestFact
from contimg.process import Health, Process
from contimg.settings import Settings
from contimg_ingest.watch import ReportLog, scan_beside, serve, watch


async def test_loop_scans_tells_and_stops(site, subbands):
    for path in subbands:
        site.put(path)
    stop = asyncio.Event()
    told = []

    def tell(report):
        told.append(report)
        if len(told) == 3:
            stop.set()

    await asyncio.wait_for(watch(site.scanner, tell, stop, interval_s=0), 60)
    assert [len(report.records) for report in told] == [1, 0, 0]  # files of last January have arrived


async def test_stop_ends_a_long_pause(site):
    stop = asyncio.Event()
    told = []

    def tell(report):
        told.append(report)
        asyncio.get_running_loop().call_soon(stop.set)

    assert await asyncio.wait_for(watch(site.scanner, tell, stop, interval_s=3600), 10)
    assert len(told) == 1


class Hanging:
    """A scanner one of whose files never answers."""

    def __init__(self):
        self.begun, self.go_on = threading.Event(), threading.Event()

    def scan(self, _now):
        self.begun.set()
        self.go_on.wait(60)


async def test_stop_does_not_wait_for_a_file_that_hangs():
    scanner, stop = Hanging(), asyncio.Event()
    loop = asyncio.create_task(watch(scanner, print, stop))
    await asyncio.to_thread(scanner.begun.wait)
    stop.set()
    assert await asyncio.wait_for(loop, 5.0) is False, "the scan is still at work"
    scanner.go_on.set()


class Failing:
    def __init__(self, *errors):
        self.errors = list(errors)

    def scan(self, _now):
        error = self.errors.pop(0)
        if isinstance(error, Exception):
            raise error
        return error


async def test_a_full_disk_passes_and_what_does_not_pass_ends_the_loop():
    told = []
    scanner = Failing(ResourceExhausted("full"), "a report", BadConfig("state is a file"))
    with pytest.raises(BadConfig, match="state is a file"), structlog.testing.capture_logs() as lines:
        await watch(scanner, told.append, asyncio.Event(), interval_s=0)
    assert told == ["a report"]
    assert [line["event"] for line in lines] == ["full"]


async def test_an_error_of_the_scan_is_raised_where_it_is_awaited():
    with pytest.raises(BadConfig, match="odd"):
        await scan_beside(Failing(BadConfig("odd")))


def test_log_names_what_was_found(site, subbands):
    site.put(subbands[0])
    (site.incoming / "2026-01-25T22:26:05_sb05.hdf5").write_bytes(b"")
    (site.incoming / "loop").symlink_to(site.incoming)
    site.restart(one_shot=True)
    with structlog.testing.capture_logs() as lines:
        log = ReportLog()
        log(site.scan())
        log(site.scan())
    assert [line["event"] for line in lines].count("incoming") == 1, "what is in the way is told once"
    events = {line["event"]: line for line in lines}
    assert events["observation"]["state"] == "incomplete"
    assert events["quarantined"]["reason"] == "empty"
    assert "leads back" in events["incoming"]["sentence"]


@pytest.fixture
def service(tmp_path):
    """Start the service as its container does; it is ended in any case."""
    running = []

    def start(program=("-m", "contimg_ingest"), **env):
        env = os.environ | {"CONTIMG_DATA_BASE": str(tmp_path), "CONTIMG_SCAN_S": "0.05", **env}
        process = subprocess.Popen(
            [sys.executable, *program],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def ended_s(process):
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    return time.monotonic() - begun


def test_the_service_scans_and_ends_soon_after_sigterm(site, subbands, service):
    (site.incoming / "2026-01-25").mkdir()
    for path in subbands:
        shutil.copy2(path, site.incoming / "2026-01-25")
    process = service()
    until(lambda: list(site.observations.glob("*/*.json")) and site.layout.ingest_fact.exists())
    assert ended_s(process) < 5.0  # 0.3 s on an idle machine
    assert IngestFact.model_validate_json(site.layout.ingest_fact.read_bytes()).scanned is not None


HANGS = """
import threading, time
from contimg.instruments.dsa110.instrument import Dsa110
import contimg.radio.uvh5.read
held = threading.Lock()
held.acquire()
def read(self, path):
    print("hangs", flush=True)
    held.acquire()
Dsa110.read = read
from contimg.process import start
import atexit
atexit.register(held.acquire)  # as a library does that waits for its lock when the interpreter ends
start("ingest", "contimg_ingest.watch:serve")
"""


def test_sigterm_ends_the_service_while_a_file_hangs(site, subbands, service):
    site.put(subbands[0])
    process = service(program=("-c", HANGS))
    assert any("hangs" in line for line in process.stdout)
    assert ended_s(process) < 5.0


def test_a_pipe_in_incoming_hangs_nothing(site, service):
    os.mkfifo(site.incoming / "2026-01-25T22:26:05_sb00.hdf5")
    process = service()
    until(site.layout.ingest_fact.exists)
    assert "is a named pipe" in site.fact.problems[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0


def test_command_without_incoming_says_so(tmp_path, service):
    process = service(CONTIMG_DATA_BASE=str(tmp_path / "nowhere"))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 78
    assert "incoming is no directory; create it or set CONTIMG_INCOMING_DIR" in out
    assert "Traceback" not in out


async def test_the_body_obeys_the_settings_of_its_process(site):
    process = Process("ingest", Settings(scan_s=3600.0), site.layout, Health(30.0))
    body = asyncio.create_task(serve(process))
    await asyncio.to_thread(until, site.layout.ingest_fact.exists)
    process.stopping.set()
    await asyncio.wait_for(body, 5)
    assert process.health.unready == ""
