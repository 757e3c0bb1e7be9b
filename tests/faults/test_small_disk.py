"""A staging disk of one and of five megabytes: nothing begins, and what is missing is said in bytes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from crash_worker import layout_of, scenario_task
from waiting import until

from contimg.servers.nats import NatsServer
from contimg.volume.attempt import read_records

SCRIPT = Path(__file__).parents[1] / "support" / "crash_worker.py"
MOUNT = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@"']


@pytest.mark.parametrize("size", ["1m", "5m"])
def test_what_waits_for_space_says_how_much(tmp_path, size):
    layout, task = layout_of(tmp_path, "small"), scenario_task(tmp_path, "small")
    layout.stage_base.mkdir(parents=True)
    if subprocess.run([*MOUNT, size, str(layout.stage_base), "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets us mount no small disk")
    path = os.pathsep.join(["tests/support", "shared", "services"])
    environment = os.environ | {"PYTHONPATH": path, "CONTIMG_CRASH": "none"}
    with NatsServer(tmp_path / "nats") as server:
        arguments = [str(tmp_path), server.url, server.user, server.password, "small", "small"]
        command = [*MOUNT, size, str(layout.stage_base), sys.executable, str(SCRIPT), *arguments]
        worker = subprocess.Popen(command, env=environment, process_group=0)
        try:
            until(layout.wait(task.task).exists)
            sentence = json.loads(layout.wait(task.task).read_bytes())["sentence"]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
    missing = int(re.search(r"WaitingForSpace: (\d+) bytes are missing in ", sentence)[1])
    assert 60_000_000 < missing < 80_000_000
    assert read_records(layout, task.task) == []
