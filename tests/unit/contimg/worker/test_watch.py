from __future__ import annotations

import os
from pathlib import Path

import pytest

from contimg.limits import ProtocolLimits
from contimg.worker.watch import Frozen, GroupMeter, Pulse

LIMITS = ProtocolLimits()


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
