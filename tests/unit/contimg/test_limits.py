from __future__ import annotations

from dataclasses import fields

import pytest

from contimg.limits import ProtocolLimits


def test_the_numbers_of_the_architecture():
    limits = ProtocolLimits()
    assert (limits.check_streams_s, limits.ack_wait_s, limits.max_ack_pending) == (30, 90, 100_000)
    assert (limits.ask_again_s, limits.message_bytes, limits.skew_s) == (600, 65536, 60)
    assert (limits.lock_fresh_s, limits.busy_s, limits.lost_cap, limits.space_margin) == (120, 30, 10, 0.10)
    assert (limits.stall_after_s, limits.tick_s, limits.frozen_after_s) == (600, 15, 90)
    assert (limits.memory_fraction, limits.ram_fraction) == (0.92, 0.80)
    assert (limits.retry_base_s, limits.retry_factor, limits.retry_cap_s) == (30, 4, 1800)
    assert (limits.page_bytes, limits.scan_s) == (512 * 1024, 600)
    assert (limits.settle_s, limits.seal_after_s) == (30, 900)
    assert (limits.unwanted_s, limits.wanted_fresh_s, limits.failed_kept_s) == (86400, 1800, 14 * 86400)
    assert (limits.abandoned_s, limits.child_attempts) == (3600, 20)


def test_a_heartbeat_is_missed_several_times_before_anybody_notices():
    limits = ProtocolLimits()
    assert 4 * limits.tick_s < limits.ack_wait_s <= limits.frozen_after_s < limits.lock_fresh_s


def test_scaling_touches_times_alone():
    limits, small = ProtocolLimits(), ProtocolLimits().scaled(0.01)
    for item in fields(limits):
        factor = 0.01 if item.name.endswith("_s") else 1
        assert getattr(small, item.name) == pytest.approx(factor * getattr(limits, item.name)), item.name
