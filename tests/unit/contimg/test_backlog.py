"""What JetStream's API tells of the queue, on a real server."""

from __future__ import annotations

import time

import pytest
from metered import labelled, value
from toy_stages import toy_task

from contimg.errors import Unavailable
from contimg.streams import TASKS

pytestmark = pytest.mark.integration


async def test_an_empty_queue_has_no_oldest_task(bench):
    await bench.bus.measure(["toy"])
    assert labelled("contimg_bus_tasks") == {
        ("toy", "waiting"): 0,
        ("toy", "in_hand"): 0,
        ("toy", "redelivered"): 0,
    }
    assert labelled("contimg_bus_oldest_timestamp_seconds") == {}
    assert value("contimg_bus_stream_limit_bytes", stream=TASKS) == bench.limits.stream_bytes


async def test_waiting_tasks_and_those_in_hand_are_told_apart(bench):
    begin = time.time()
    for number in range(3):
        await bench.bus.ask(toy_task(unit=f"2026-01-25T22:00:1{number}"))
    message = await bench.bus.fetch("toy")
    await bench.bus.measure(["toy"])
    assert (value("contimg_bus_tasks", stage="toy", state="waiting"), message is not None) == (2, True)
    assert value("contimg_bus_tasks", stage="toy", state="in_hand") == 1
    assert value("contimg_bus_stream_messages", stream=TASKS) == 3
    assert 0 < value("contimg_bus_stream_bytes", stream=TASKS) < bench.limits.stream_bytes
    assert begin - 1 <= value("contimg_bus_oldest_timestamp_seconds", stage="toy") <= time.time() + 1


async def test_a_consumer_that_is_gone_is_an_outage_and_old_figures_are_not_shown(bench):
    await bench.bus.measure(["toy"])
    with pytest.raises(Unavailable, match="did not answer"):
        await bench.bus.measure(["nobody"])
    for figure in ("tasks", "oldest_timestamp_seconds", "stream_messages", "stream_bytes", "stream_limit_bytes"):
        assert labelled(f"contimg_bus_{figure}") == {}
