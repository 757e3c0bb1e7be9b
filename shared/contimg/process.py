"""Every process starts, stays healthy and ends the same way.

SIGTERM is obeyed from the first moment, also while the message server is not up yet: waiting is no reason to exit, it
is a reason to be unready. A background task that dies, or a server that refuses us for good, ends the process with the
exit code of the error's class, so that whoever supervises it sees a failure instead of a silent shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import psutil
import structlog
import tenacity
from prometheus_client import MetricsHandler

from contimg.errors import BadConfig, ContimgError, Retryable
from contimg.settings import Settings, limits_of
from contimg.telemetry import BUS_CONNECTED, READY, configure_logging
from contimg.volume.layout import Layout

if TYPE_CHECKING:
    from contimg.bus import Bus

__all__ = ["Health", "Process", "in_daemon", "start"]

_PR_SET_CHILD_SUBREAPER = 36
_LAST_S = 5.0
"""A thread at a hanging disk cannot be cancelled; what it writes is complete or not there, so it is left behind [s]."""
_log = structlog.get_logger(__name__)
T = TypeVar("T")
Body = Callable[["Process"], Awaitable[None]]
"""What a service does between the start and the end of its process."""


class Health:
    """Whether the event loop turns, and whether there is work to be done.

    Parameters
    ----------
    still_s
        A loop that did not turn for so long stands still: the process is to be started again [s].
    """

    def __init__(self, still_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._still_s, self._clock = still_s, clock
        self._turned = clock()
        self.unready = "starting"
        """Why it cannot work yet; empty: it can."""

    def turn(self) -> None:
        """Note that the loop turns."""
        self._turned = self._clock()

    def sick(self) -> str:
        """Return why the process should be started again; empty: it is well."""
        age = self._clock() - self._turned
        return f"the event loop stands still for {age:.0f} s" if age > self._still_s else ""

    def answer(self, path: str) -> tuple[int, str]:
        """Return HTTP status and text for ``/healthz`` or ``/readyz``."""
        wrong = self.sick() or (self.unready if path == "/readyz" else "")
        return (503, wrong) if wrong else (200, "ok")


def _serve_http(port: int, health: Health) -> ThreadingHTTPServer:
    """Serve ``/metrics``, ``/healthz`` and ``/readyz`` from a thread: it answers also while the loop stands still."""

    class Handler(MetricsHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name http.server calls
            if self.path not in {"/healthz", "/readyz"}:
                super().do_GET()
                return
            status, text = health.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"{text}\n".encode())

    try:
        server = ThreadingHTTPServer(("", port), Handler)
    except OSError as error:
        raise BadConfig(f"CONTIMG_PORT = {port} cannot be served ({error.strerror}); choose a free port") from error
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


class Process:
    """What a body gets: settings, directories, the bus, and a way to have background tasks watched over."""

    def __init__(self, name: str, settings: Settings, layout: Layout, health: Health) -> None:
        self.name = name
        self.settings = settings
        self.layout = layout
        self.limits = limits_of(settings)
        self.health = health
        self.stopping = asyncio.Event()
        """Set by the first SIGTERM: begin nothing new, end what is in hand."""
        self.grace_s = 30.0
        """How long the body may take to end after that [s]; then it is cancelled."""
        self._tasks: asyncio.TaskGroup | None = None
        self._background: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something run beside the body; its failure ends the process."""
        assert self._tasks is not None  # noqa: S101 - a body runs inside the group
        self._background.append(self._tasks.create_task(work))

    async def connect(self) -> Bus:
        """Return a connection to the bus; wait for a server that is not up, be unready meanwhile.

        Raises
        ------
        BadConfig
            If no server is named, or it refuses user and password.
        """
        from contimg.bus import Bus  # noqa: PLC0415 - SIGTERM is obeyed before the client is imported

        chosen = self.settings
        if not chosen.nats_url:
            raise BadConfig(
                "CONTIMG_NATS_URL is not set; give the address of the message server, e.g. nats://nats:4222"
            )
        bus = await self.wait_for(
            "the bus",
            Bus.connect,
            chosen.nats_url,
            chosen.nats_user,
            chosen.nats_password.get_secret_value(),
            ca=chosen.nats_ca,
            shard=chosen.shard,
            limits=self.limits,
        )
        self.health.unready = ""
        BUS_CONNECTED.labels(self.name).set_function(lambda: bus.connected)
        self.spawn(_closed(bus))
        return bus

    async def wait_for(self, what: str, call: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
        """Call until what is missing is there; be unready meanwhile, with the reason.

        Parameters
        ----------
        what
            Is waited for, e.g. ``the bus``.
        call, arguments, options
            Raises an error that time may mend as long as it is missing.
        """

        def note(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self.health.unready = f"waits for {what}: {error}"
            _log.warning(f"waits for {what}", error=str(error), attempt=state.attempt_number)

        waiting = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Retryable),
            wait=tenacity.wait_exponential(max=10.0),
            before_sleep=note,
            reraise=True,
        )
        found: T = await waiting(call, *arguments, **options)
        return found

    async def _turn(self) -> None:
        while True:
            self.health.turn()
            await asyncio.sleep(1.0)

    async def run(self, body: Body) -> None:
        """Run the body until it ends, is told to end, or something beside it fails."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.spawn(self._turn())
            self.spawn(_reap_orphans())
            main = tasks.create_task(_as_coroutine(body, self))
            self._obey(main)
            await asyncio.wait({main})
            for task in self._background:
                task.cancel()

    def _obey(self, main: asyncio.Task[None]) -> None:
        """First SIGTERM: stop in good order within the grace; SIGINT or a second one: at once."""
        loop = asyncio.get_running_loop()

        def end() -> None:
            main.cancel()
            loop.call_later(_LAST_S, os._exit, 0)

        def terminate() -> None:
            if self.stopping.is_set() or self.health.unready:
                end()  # told twice, or nothing is in hand yet
            self.stopping.set()
            loop.call_later(self.grace_s, end)

        loop.add_signal_handler(signal.SIGTERM, terminate)
        loop.add_signal_handler(signal.SIGINT, end)


async def _closed(bus: Bus) -> None:
    """Raise what ended the connection for good: the server refuses us, and waiting would not mend that."""
    await bus.closed


async def _as_coroutine(body: Body, process: Process) -> None:
    await body(process)


async def _reap_orphans(pause_s: float = 5.0) -> None:
    """Take leave of processes that a killed child left to us; our own children are waited for where they were started.

    A zombie is reaped when it is seen a second time: whoever started it had ``pause_s`` to wait for it.
    """
    seen: set[int] = set()
    while True:
        dead = {child.pid for child in psutil.Process().children() if _is_zombie(child)}
        for pid in dead & seen:
            with contextlib.suppress(ChildProcessError):  # whoever started it was quicker, in another thread
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 - it is a zombie, there is nothing to wait for
        seen = dead - seen
        await asyncio.sleep(pause_s)


def _is_zombie(child: psutil.Process) -> bool:
    try:
        return bool(child.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def in_daemon(function: Callable[[], T]) -> T:
    """Call something in a thread that an exit does not wait for: a file that never answers must not hold it up."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: object) -> None:
        if not answer.done():
            setter(value)

    def work() -> None:
        setter: Callable[[Any], None] = answer.set_result
        value: object = None
        try:
            value = function()
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            setter, value = answer.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, setter, value)

    threading.Thread(target=work, daemon=True).start()
    return await answer


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing is in hand yet, and an exception might be raised in the middle of an import."""
    os._exit(0)


def start(name: str, body: str) -> None:
    """Run a service until it is told to end, and exit.

    Parameters
    ----------
    name
        Of the service, for the logs.
    body
        ``package.module:function``; imported only when SIGTERM is already obeyed, because imports take seconds.
    """
    signal.signal(signal.SIGTERM, _leave)
    configure_logging()
    structlog.contextvars.bind_contextvars(service=name)
    try:
        _run(name, body)
    except ContimgError as error:
        _end(error)
    except BaseExceptionGroup as group:
        ours = group.subgroup(ContimgError)
        if ours is None:
            raise
        _end(_first(ours))


def _run(name: str, body: str) -> None:
    settings = Settings.from_environment()
    health = Health(still_s=30.0)
    READY.labels(name).set_function(lambda: health.answer("/readyz")[0] == HTTPStatus.OK)
    if settings.port:
        _serve_http(settings.port, health)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    module, _, function = body.partition(":")
    serve: Body = getattr(import_module(module), function)
    asyncio.run(Process(name, settings, Layout.from_environment(), health).run(serve))


def _first(group: BaseExceptionGroup[ContimgError]) -> ContimgError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _end(error: ContimgError) -> NoReturn:
    _log.error(str(error), error=type(error).__name__)
    sys.exit(error.exit_code)
