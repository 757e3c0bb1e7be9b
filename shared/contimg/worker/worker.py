"""The worker of one stage: fetches messages, keeps the warm child, and is the entry point of a stage's container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from contimg.bus import Bus, TaskMessage
from contimg.errors import BadConfig, ContimgError, Unavailable
from contimg.limits import ProtocolLimits
from contimg.models.params import StageSpec, spec_of
from contimg.telemetry import QUEUE, configure_logging, serve_metrics
from contimg.volume.layout import Layout
from contimg.worker.handling import Effect, Handling, Register, Tools
from contimg.worker.warm import WarmChild, completed

__all__ = ["Effect", "Register", "Worker", "main", "register_over"]

_log = structlog.get_logger(__name__)


def register_over(bus: Bus) -> Register:
    """Return the way to register with the keeper of the bus's shard by ``contimg.rpc.<shard>.register``."""

    async def register(payload: dict[str, Any]) -> Any:
        return await bus.request(f"contimg.rpc.{bus.shard}.register", payload)

    return register


class Worker:
    """Works on the tasks of one stage until it is stopped or cancelled.

    Parameters
    ----------
    layout, bus, spec, limits
        Where, from where, what, how long.
    register
        Tells the keeper; see :data:`contimg.worker.handling.Register` and :func:`register_over`.
    effects
        Parent-side effects by stage name.
    jobs
        Shared by the workers of one process: how many tasks run at a time. None: as many as slots.
    slots
        How many tasks this worker has in hand at a time, each with its own warm child.
    prewarm
        Start the children at once instead of with the first task.
    """

    def __init__(  # noqa: PLR0913 - the last four have defaults
        self,
        layout: Layout,
        bus: Bus,
        spec: StageSpec,
        limits: ProtocolLimits,
        register: Register,
        *,
        effects: Mapping[str, Effect] | None = None,
        jobs: asyncio.Semaphore | None = None,
        slots: int = 1,
        prewarm: bool = False,
    ) -> None:
        self._layout, self._bus, self._spec, self._limits = layout, bus, spec, limits
        self._register = register
        self._effect = (effects or {}).get(spec.name)
        self._jobs = jobs or asyncio.Semaphore(slots)
        self._slots = slots
        self._prewarm = prewarm
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Fetch no more; :meth:`run` returns when the tasks in hand are done."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping.is_set()

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
        keeper = _ChildKeeper(self._spec, self._layout, self._limits)
        tools = Tools(
            layout=self._layout,
            bus=self._bus,
            spec=self._spec,
            limits=self._limits,
            register=self._register,
            effect=self._effect,
            jobs=self._jobs,
            child=keeper.fit,
            drop_child=keeper.drop,
        )
        try:
            if self._prewarm:
                await keeper.fit()
            while not self._stopping.is_set():
                message = await self._fetch()
                if message is not None:
                    await Handling(tools, message).run()
                    await keeper.trim()
        finally:
            await completed(keeper.drop())

    async def _fetch(self) -> TaskMessage | None:
        """Wait for a message, with a growing back-off while stream, consumer or server are missing."""
        fetching = asyncio.create_task(self._fetch_once())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
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
            QUEUE.labels(self._spec.name).set(0 if message is None else message.waiting + 1)
            if message is not None:
                return message
        return None


class _ChildKeeper:
    """Holds the warm child of one slot and replaces it when it is worn."""

    def __init__(self, spec: StageSpec, layout: Layout, limits: ProtocolLimits) -> None:
        self._spec, self._layout, self._limits = spec, layout, limits
        self._child: WarmChild | None = None

    async def fit(self) -> WarmChild:
        await self.trim()
        if self._child is None:
            self._child = await WarmChild.start(self._spec, self._layout)
        return self._child

    async def trim(self) -> None:
        """End a worn child at once: while it waits it would keep its memory."""
        if self._child is not None and self._child.is_worn(self._limits):
            await self.drop()

    async def drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end()


def main(stage: str, effects: Mapping[str, Effect] | None = None) -> None:
    """Run the worker of a stage until SIGTERM; the entry point of its container.

    Reads the layout's variables, ``CONTIMG_NATS_URL``, ``CONTIMG_NATS_USER``, ``CONTIMG_NATS_PASSWORD``,
    ``CONTIMG_SHARD`` and ``CONTIMG_METRICS_PORT``. SIGTERM: fetch no more and finish within the time limit of
    the stage; SIGINT or a second SIGTERM: end the child and hand the task back.
    """
    configure_logging()
    try:
        asyncio.run(_serve(stage, effects))
    except ContimgError as error:
        _log.error(str(error))
        sys.exit(error.exit_code)
    except asyncio.CancelledError:
        sys.exit(0)


async def _serve(stage: str, effects: Mapping[str, Effect] | None) -> None:
    spec = spec_of(stage)
    url = os.environ.get("CONTIMG_NATS_URL")
    if not url:
        raise BadConfig("CONTIMG_NATS_URL is not set; give the address of the NATS server, e.g. nats://nats:4222")
    serve_metrics()
    user, password = os.environ.get("CONTIMG_NATS_USER", ""), os.environ.get("CONTIMG_NATS_PASSWORD", "")
    shard = os.environ.get("CONTIMG_SHARD") or "main"
    limits = ProtocolLimits()
    async with await Bus.connect(url, user, password, shard=shard, limits=limits) as bus:
        worker = Worker(Layout.from_environment(), bus, spec, limits, register_over(bus), effects=effects, prewarm=True)
        await _until_told(worker, spec.time_limit_s)


async def _until_told(worker: Worker, grace_s: float) -> None:
    """Run a worker; the first SIGTERM lets it finish, the second or the end of the grace period cancels it."""
    running = asyncio.ensure_future(worker.run())
    loop = asyncio.get_running_loop()

    def terminate() -> None:
        if worker.is_stopping:
            running.cancel()
        else:
            worker.stop()
            loop.call_later(grace_s, running.cancel)

    loop.add_signal_handler(signal.SIGTERM, terminate)
    loop.add_signal_handler(signal.SIGINT, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
