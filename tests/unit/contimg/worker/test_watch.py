from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from contimg.limits import ProtocolLimits
from contimg.worker.watch import Frozen, GroupMeter, Pulse, memory_limit

LIMITS = ProtocolLimits()
RAM = int(0.8 * psutil.virtual_memory().total)


def machine(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, RAM),
        ({"sys/fs/cgroup/memory.max": "max\n"}, RAM),
        ({"sys/fs/cgroup/memory.max": "1000\n"}, 1000),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "2000\n"}, 2000),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, RAM),
        ({"proc/self/cgroup": "0::/pod/a\n", "sys/fs/cgroup/pod/a/memory.max": "3000"}, 3000),
        (
            {
                "proc/self/cgroup": "4:memory:/pod/b\n1:cpu:/x\n",
                "sys/fs/cgroup/memory/pod/b/memory.limit_in_bytes": "4000",
            },
            4000,
        ),
    ],
)
def test_the_least_of_all_memory_limits_holds(tmp_path, monkeypatch, files, expected):
    monkeypatch.delenv("CONTIMG_MEMORY_BYTES", raising=False)
    root = machine(tmp_path, **files)
    assert memory_limit(LIMITS, root) == expected
    monkeypatch.setenv("CONTIMG_MEMORY_BYTES", "500")
    assert memory_limit(LIMITS, root) == 500


def test_the_real_machine_has_a_limit():
    assert 0 < memory_limit(LIMITS) <= RAM


def test_a_pulse_notices_a_stop_and_never_forgets():
    now = [0.0]
    pulse = Pulse(LIMITS, lambda: now[0])
    now[0] = 90.0
    pulse.beat()
    now[0] = 180.5
    with pytest.raises(Frozen):
        pulse.beat()
    with pytest.raises(Frozen):
        pulse.beat()


def test_the_meter_reads_this_process(tmp_path):
    meter = GroupMeter(os.getpid())
    meter.reset_peak()
    resident = meter.sample()
    hoard = bytearray(os.urandom(1 << 20) * 50)
    assert meter.sample() > resident + 40 * 2**20
    assert meter.cpu_s > 0
    size = len(hoard)
    del hoard
    meter.sample()
    assert meter.peak >= resident + 40 * 2**20
    before = meter.written
    (tmp_path / "x").write_bytes(b"x" * size)
    meter.sample()
    assert meter.written - before >= size or tmp_path.stat().st_dev == Path("/dev/shm").stat().st_dev  # noqa: S108


def test_a_process_that_is_gone_uses_nothing():
    meter = GroupMeter(2**22 - 1)
    assert (meter.sample(), meter.peak) == (0, 0)
