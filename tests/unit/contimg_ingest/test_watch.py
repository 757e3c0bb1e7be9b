from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import structlog

from contimg_ingest import watch as watch_module
from contimg_ingest.watch import log_report, watch


async def test_loop_scans_tells_and_stops(site, subbands):
    for path in subbands:
        site.put(path)
    stop = asyncio.Event()
    told = []

    async def tell(report):
        told.append(report)
        if len(told) == 3:
            stop.set()

    await asyncio.wait_for(watch(site.scanner, tell, stop, interval_s=0), 20)
    assert len(told) == 3
    assert [len(report.records) for report in told] == [1, 0, 0]  # files of last January have arrived


async def test_stop_ends_a_long_pause(site):
    stop = asyncio.Event()

    async def tell(report):
        asyncio.get_running_loop().call_later(0.01, stop.set)

    await asyncio.wait_for(watch(site.scanner, tell, stop, interval_s=3600), 10)


async def test_log_names_what_was_found(site, subbands):
    site.put(subbands[0])
    (site.incoming / "2026-01-25T22:26:05_sb05.hdf5").write_bytes(b"")
    (site.incoming / "loop").symlink_to(site.incoming)
    site.restart(one_shot=True)
    with structlog.testing.capture_logs() as lines:
        await log_report(site.scan())
    events = {line["event"]: line for line in lines}
    assert events["observation"]["state"] == "incomplete"
    assert events["quarantined"]["reason"] == "empty"
    assert "leads back" in events["incoming"]["sentence"]
    assert watch_module.__all__ == ["log_report", "watch"]


def service(tmp_path, *arguments):
    env = os.environ | {"CONTIMG_DATA_BASE": str(tmp_path), "PYTHONPATH": "shared:services"}
    command = [sys.executable, "-m", "contimg_ingest", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_command_scans_once(site, subbands, tmp_path):
    for path in subbands[:3]:
        site.put(path)
    done = service(tmp_path, "--once", "--expect", "16")
    assert done.returncode == 0, done.stderr
    assert "incomplete" in done.stdout + done.stderr
    assert len(list((tmp_path / "state/observations").glob("*/*.json"))) == 1


def test_command_without_incoming_says_so(tmp_path):
    done = service(tmp_path / "nowhere", "--once")
    assert done.returncode == 78
    assert "incoming is no directory; create it or set CONTIMG_INCOMING_DIR" in done.stderr
    assert "Traceback" not in done.stderr
