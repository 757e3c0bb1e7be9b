"""kopf's watch in a thread of its own, where neither its signals nor its way to end disturb the host.

It renews a watch that is silent for 70 s, since the server sends a bookmark every minute; and the server ends every
watch after ``_WATCH_S``, so that one whose connection was lost without a word is found by either side.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable
from typing import Any

import kopf
import structlog
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession, TCPConnector
from prometheus_client import Gauge

from contimg.errors import Unavailable
from contimg.process import in_daemon
from contimg_operator.api import CALLS, GROUP, VERSION, Body
from contimg_operator.cluster import KINDS

__all__ = ["watch"]

_WATCH_S = 240
"""A watch is ended by the server after so long, by the client 20 s later."""
_SILENT_S = 600.0
"""Where not one watch was renewed for so long kopf hangs: the process is to be started again."""
_BACKOFFS = (1, 2, 4, *(10,) * 100_000)
"""Pauses between tries [s]; kopf does not survive a request that it gives up, so it never does."""
ALIVE = Gauge(
    "contimg_watch_timestamp_seconds", "When the watch of a resource told something or was renewed.", ["resource"]
)
_SEEN: dict[str, float] = {}
"""The same by the monotonic clock."""
_log = structlog.get_logger(__name__)
Note = Callable[[str, str | None, Body], None]
"""Takes plural, kind (None: it was there at the start) and the object."""


async def watch(namespace: str, note: Note) -> None:
    """Hand over what the watch tells, in the running loop, until cancelled.

    Raises
    ------
    Unavailable
        If the watch stands still: only another process helps.
    """
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    _speak_json()

    def hand_over(plural: str, kind: str | None, body: Body) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(note, plural, kind, body)

    running = asyncio.ensure_future(in_daemon(lambda: context.run(asyncio.run, _serve(namespace, hand_over))))
    _SEEN.update(dict.fromkeys(KINDS, time.monotonic()))
    while not running.done() and time.monotonic() - max(_SEEN.values()) < _SILENT_S:
        await asyncio.wait({running}, timeout=_SILENT_S / 20)
    why = f"ended ({running.exception()})" if running.done() else "stands still"
    raise Unavailable(f"the watch on the API server {why}; the operator ends and is to be started again")


def _alive(plural: str) -> None:
    ALIVE.labels(plural).set_to_current_time()
    _SEEN[plural] = time.monotonic()


async def _serve(namespace: str, note: Note) -> None:
    registry = kopf.OperatorRegistry()
    for plural in KINDS:
        _listen(registry, plural, note)
    kopf.on.login(registry=registry, id="login")(_login)
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = None  # else it ends the whole process ten minutes later
    settings.networking.error_backoffs = _BACKOFFS
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = _WATCH_S
    settings.watching.client_timeout = _WATCH_S + 20.0
    settings.watching.connect_timeout = 10.0
    await kopf.operator(registry=registry, settings=settings, namespaces=[namespace], standalone=True)


async def _login(**given: Any) -> kopf.AiohttpSession:
    """Return a session with the token of the day that counts its calls; kopf asks anew when the token is refused."""
    info = kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)
    if info is None:
        raise kopf.LoginError("neither the account of a pod nor KUBECONFIG is there")
    http = ClientSession(
        connector=TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers=info.as_http_headers(),
        middlewares=(_counted,),
    )
    return kopf.AiohttpSession(server=info.server, default_namespace=info.default_namespace, aiohttp_session=http)


async def _counted(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    resource = request.url.path.rpartition("/namespaces/")[2].partition("/")[2] or "discovery"
    verb, code = ("watch" if "watch" in request.url.query else "list"), 0
    try:
        response = await handler(request)
        code = response.status
    finally:
        CALLS.labels(verb, resource, str(code)).inc()
    if resource in KINDS and response.ok:
        _alive(resource)
    return response


def _listen(registry: kopf.OperatorRegistry, plural: str, note: Note) -> None:
    @kopf.on.event(GROUP, VERSION, plural, registry=registry, id=f"note-{plural}")  # type: ignore[untyped-decorator]
    async def told(event: Any, **_: Any) -> None:
        _alive(plural)
        note(plural, event["type"], event["object"])


class _Forward(logging.Handler):
    """kopf logs by the standard library; its errors become JSON lines like all others."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.warning(record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _speak_json() -> None:
    logger = logging.getLogger("kopf")
    logger.handlers, logger.propagate = [_Forward()], False
    logger.setLevel(logging.ERROR)
