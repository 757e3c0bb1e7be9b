"""A real nats-server per test module, and what a worker needs around it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from toy_stages import SPEC

from contimg.bus import Bus
from contimg.limits import MIB, ProtocolLimits
from contimg.models.task import Event
from contimg.servers.nats import NatsServer
from contimg.volume.layout import Layout
from contimg.worker.worker import Worker

__all__ = ["QUICK", "Bench", "connected", "eventually"]

QUICK = ProtocolLimits(
    stream_bytes=4 * MIB,
    ack_wait_s=5.0,
    fetch_s=1.0,
    rebind_s=0.02,
    rpc_s=2.0,
    busy_s=0.1,
    skew_s=0.1,
    space_s=0.1,
    tick_s=0.1,
    sample_s=0.02,
    progress_s=0.0,
    register_s=0.02,
    retry_base_s=0.02,
    retry_cap_s=0.1,
)
"""Times of milliseconds where a test would wait; the others stay long, so that a slow machine changes nothing."""


@contextlib.asynccontextmanager
async def connected(server: NatsServer, limits: ProtocolLimits = QUICK, shard: str = "main") -> AsyncIterator[Bus]:
    """Connect and make sure of the streams and the toy's consumer."""
    async with await Bus.connect(server.url, server.user, server.password, shard=shard, limits=limits) as bus:
        await bus.ensure_streams([SPEC.name])
        yield bus


async def eventually(condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """Wait until a condition on the disk holds; fails after ``timeout_s``."""
    async with asyncio.timeout(timeout_s):
        while not (value := condition()):  # noqa: ASYNC110 - another process decides
            await asyncio.sleep(0.005)
    return value


@dataclass
class Bench:
    """A toy worker on a real bus, with everything it tells written down."""

    layout: Layout
    bus: Bus
    limits: ProtocolLimits = QUICK
    registered: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def note(self, payload: dict[str, Any]) -> None:
        self.registered.append(payload)

    async def _hear(self, event: Event) -> None:
        async with self._heard:
            self.events.append(event)
            self._heard.notify_all()

    async def heard(self, kind: str, count: int = 1, timeout_s: float = 20.0) -> list[Event]:
        """Wait until ``count`` events of a kind have come."""
        async with asyncio.timeout(timeout_s), self._heard:
            await self._heard.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.type.endswith(f".{kind}")]

    @contextlib.asynccontextmanager
    async def working(self, **options: Any) -> AsyncIterator[Worker]:
        """Run a worker meanwhile; at the end it is cancelled."""
        listening = await self.bus.subscribe_events(self._hear)
        limits = options.pop("limits", self.limits)
        spec, register = options.pop("spec", SPEC), options.pop("register", self.note)
        worker = Worker(self.layout, self.bus, spec, limits, register, **options)
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            running.cancel()
            await asyncio.wait({running})
            await listening.unsubscribe()
        if not running.cancelled() and running.exception():
            raise running.exception()  # type: ignore[misc]

    async def drained(self, timeout_s: float = 20.0) -> None:
        """Wait until the task stream is empty."""
        stream = self.bus._jetstream
        async with asyncio.timeout(timeout_s):
            while (await stream.stream_info("CONTIMG_TASKS")).state.messages:  # noqa: ASYNC110 - the server decides
                await asyncio.sleep(0.01)
