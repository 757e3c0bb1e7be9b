"""The worker of one stage: fetches messages, keeps the warm child, and is the entry point of a stage's container."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog

from contimg.bus import Bus, TaskMessage
from contimg.errors import Unavailable
from contimg.limits import ProtocolLimits
from contimg.machine import memory_limit
from contimg.models.spec import StageSpec, spec_of
from contimg.process import Process
from contimg.streams import rpc_subject
from contimg.telemetry import IN_HAND, MEMORY_LIMIT, expect_stage
from contimg.volume.layout import Layout
from contimg.worker.admission import Admission
from contimg.worker.handling import Handling, Register, Slot
from contimg.worker.warm import completed

__all__ = ["Register", "Worker", "register_over", "serve"]

_log = structlog.get_logger(__name__)


def register_over(bus: Bus) -> Register:
    """Return the way to register with the keeper of the bus's shard."""

    async def register(payload: dict[str, Any]) -> Any:
        return await bus.request(rpc_subject(bus.shard, "register"), payload)

    return register


class Worker:
    """Works on the tasks of one stage until it is stopped or cancelled.

    Parameters
    ----------
    layout, bus, spec, limits
        Where, from where, what, how long.
    register
        Tells the keeper; see :data:`contimg.worker.handling.Register` and :func:`register_over`.
    admission
        Shared by the workers of one process: which tasks run at a time. None: as many as slots.
    slots
        How many tasks this worker has in hand at a time, each with its own warm child.
    prewarm
        Start the children at once instead of with the first task.
    """

    def __init__(
        self,
        layout: Layout,
        bus: Bus,
        spec: StageSpec,
        limits: ProtocolLimits,
        register: Register,
        *,
        admission: Admission | None = None,
        slots: int = 1,
        prewarm: bool = False,
    ) -> None:
        self._layout, self._bus, self._spec, self._limits = layout, bus, spec, limits
        self._register = register
        self._admission = admission or Admission(slots, memory_limit(limits))
        self._slots = slots
        self._prewarm = prewarm
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Fetch no more; :meth:`run` returns when the tasks in hand are done."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped.

        Call it on the main thread. Cancel it to end the child at once and to hand the task back without
        counting a try.
        """
        slots = [asyncio.create_task(self._slot()) for _ in range(self._slots)]
        try:
            await asyncio.wait(slots, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._stopping.set()  # Python 3.11 may lose a cancellation inside wait_for; the loops see this instead
            for slot in slots:
                slot.cancel()
            await completed(asyncio.wait(slots))
        for slot in slots:
            if not slot.cancelled():
                slot.result()

    async def _slot(self) -> None:
        leaving = self._stopping.is_set
        slot = Slot(self._layout, self._bus, self._spec, self._limits, self._register, self._admission, leaving)
        try:
            if self._prewarm:
                await slot.child()
            while not self._stopping.is_set():
                message = await self._fetch(slot)
                if message is not None:
                    with IN_HAND.labels(self._spec.name).track_inprogress():
                        await Handling(slot, message).run()
                    await slot.trim()
        finally:
            await completed(slot.drop())

    async def _fetch(self, slot: Slot) -> TaskMessage | None:
        """Wait for a message; a child that stays without work for long is ended meanwhile."""
        fetching = asyncio.create_task(self._fetch_once())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            idle_s = self._limits.child_idle_s
            done, _ = await asyncio.wait({fetching, stopping}, timeout=idle_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                await slot.drop()
                await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await completed(self._abandon(fetching))
            raise
        finally:
            stopping.cancel()
        if fetching.done():
            return fetching.result()
        await completed(self._abandon(fetching))
        return None

    async def _abandon(self, fetching: asyncio.Task[TaskMessage | None]) -> None:
        """End a fetch; hand back what it got at the last moment."""
        fetching.cancel()
        await asyncio.wait({fetching})
        if not fetching.cancelled() and (message := fetching.result()) is not None:
            with contextlib.suppress(Unavailable):
                await message.nak()

    async def _fetch_once(self) -> TaskMessage | None:
        """Ask for a message, with a growing back-off while stream, consumer or server are missing."""
        wait = self._limits.rebind_s
        while not self._stopping.is_set():
            try:
                message = await self._bus.fetch(self._spec.name)
            except Unavailable as error:
                _log.info("no messages", stage=self._spec.name, error=str(error))
                await asyncio.sleep(wait)
                wait = min(2 * wait, 30 * self._limits.rebind_s)
                continue
            wait = self._limits.rebind_s
            if message is not None:
                return message
        return None


async def serve(process: Process) -> None:
    """Work on the tasks of the stage that the process is named after; the body of a stage's container.

    SIGTERM: fetch no more and finish within the time limit of the stage; after that, or when told again, the child is
    ended and the task handed back without counting a try.
    """
    spec, jobs = spec_of(process.name), process.settings.jobs
    expect_stage(spec.name)
    MEMORY_LIMIT.labels(spec.name).set(memory_limit(process.limits))
    process.grace_s = spec.time_limit_s
    async with await process.connect() as bus:  # closing it sends what was said last: a task that is handed back
        worker = Worker(process.layout, bus, spec, process.limits, register_over(bus), slots=jobs, prewarm=True)
        process.spawn(_stop_when_told(process, worker))
        await worker.run()


async def _stop_when_told(process: Process, worker: Worker) -> None:
    await process.stopping.wait()
    worker.stop()
