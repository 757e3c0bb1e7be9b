"""A stage that eats memory in a control group of 512 MiB, which it shares with its parent and its tmpfs.

The group is a real one where this machine lets us make one (root; cgroup v1 or v2); elsewhere the tests are skipped
and ``CONTIMG_MEMORY_BYTES`` in tests/unit/contimg/worker/test_handling.py stands for the limit.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from crash_worker import layout_of, scenario_task

from contimg.limits import MIB
from contimg.servers.nats import NatsServer
from contimg.volume.attempt import read_records

SCRIPT = Path(__file__).parents[1] / "support" / "crash_worker.py"
LIMIT = 512 * MIB
FILES = {"memory.max": Path("/sys/fs/cgroup"), "memory.limit_in_bytes": Path("/sys/fs/cgroup/memory")}


@pytest.fixture
def group() -> Iterator[Path]:
    """Make a control group with the limit; remove it when its processes are gone."""
    name = f"contimg-test-{os.getpid()}"
    for file, top in FILES.items():
        directory = top / name
        with contextlib.suppress(OSError):
            directory.mkdir()
        if not (directory / file).exists():  # no such hierarchy here, or not ours to use
            _remove(directory)
            continue
        (directory / file).write_text(str(LIMIT))
        yield directory
        _remove(directory)
        return
    pytest.skip("this machine lets us make no control group with a memory limit")


def _remove(directory: Path) -> None:
    end = time.monotonic() + 10
    while directory.exists() and time.monotonic() < end:
        with contextlib.suppress(OSError):
            directory.rmdir()
            return
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["allocate", "gulp", "flood"])
def test_memory_that_runs_out_is_told_with_bytes_after_three_tries(tmp_path, group, how):
    """Slowly, at once, and by files on a tmpfs: the parent lives and nobody calls it a lost worker."""
    layout, task = layout_of(tmp_path, how), scenario_task(tmp_path, how)
    layout.stage_base.mkdir(parents=True)
    path = os.pathsep.join(["tests/support", "shared", "services"])
    environment = os.environ | {"PYTHONPATH": path, "CONTIMG_CRASH": "none"}
    try:
        with NatsServer(tmp_path / "nats") as server:
            arguments = [str(tmp_path), server.url, server.user, server.password, "memory", how]
            enter = f'echo $$ > {group}/cgroup.procs && exec "$@"'
            command = ["sh", "-c", enter, "sh", sys.executable, str(SCRIPT), *arguments]
            done = subprocess.run(command, env=environment, timeout=120, check=False)
    finally:
        shutil.rmtree(layout.active("").parent, ignore_errors=True)
    assert done.returncode == 0
    records = read_records(layout, task.task)
    assert [(record.error, record.counted) for record in records] == [("ResourceExhausted", True)] * 3
    for record in records:
        assert re.search(r"\d+ bytes", record.message), record.message
    ours, kernels = f"the limit is {int(0.92 * LIMIT)} bytes", "was ended by the kernel for want of memory"
    assert all(kernels in record.message or (how != "gulp" and ours in record.message) for record in records)
