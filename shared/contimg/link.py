"""One connection to NATS and what becomes of it: an outage is bridged for ever, a refusal is for good."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import nats
import structlog
from nats.aio.client import Client

from contimg.errors import BadConfig, Unavailable
from contimg.rpc import TRANSPORT

__all__ = ["Link", "connect"]

_log = structlog.get_logger(__name__)
_OPTIONS = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.2, "connect_timeout": 2, "drain_timeout": 2}


class Link:
    """What the client says of its connection."""

    def __init__(self, url: str, user: str) -> None:
        self._who = f"nats-server at {url} refuses user {user!r}"
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets a ``BadConfig`` when the server refuses us for good."""
        self.reconnected = asyncio.Event()
        """Set when an outage has ended; whoever waits for it clears it."""
        self.is_up = False
        """Whether it was connected once; before that a refusal is raised into the call that connects."""

    async def on_error(self, error: Exception) -> None:
        """Log an error; one of authorization does not mend itself."""
        text = str(error) or type(error).__name__
        _log.info("bus", error=text)
        if any(word in text.lower() for word in ("authorization", "permissions violation")):
            self._end(f"{self._who} ({text}); mend CONTIMG_NATS_USER, its password or its permissions")

    async def on_closed(self) -> None:
        """Note an end that we did not ask for."""
        self._end(f"{self._who}: it closed the connection for good")

    async def on_reconnected(self) -> None:
        """Wake whoever waits for the end of an outage."""
        self.reconnected.set()

    def _end(self, sentence: str) -> None:
        if not self.is_up:
            raise BadConfig(sentence)
        if not self.closed.done():
            self.closed.set_exception(BadConfig(sentence))
            self.closed.exception()  # marks it as seen: not everybody waits for it


async def connect(url: str, user: str, password: str, ca: str, timeout_s: float) -> tuple[Client, Link]:
    """Connect; see :meth:`contimg.bus.Bus.connect`."""
    link = Link(url, user)
    options: dict[str, Any] = dict(_OPTIONS)
    options |= {"error_cb": link.on_error, "closed_cb": link.on_closed, "reconnected_cb": link.on_reconnected}
    options |= {"user": user, "password": password, "inbox_prefix": f"_INBOX_{user}"} if user else {}
    options |= {"tls": _trusting(ca)} if ca else {}
    try:
        client = await asyncio.wait_for(nats.connect(url, **options), timeout_s)
    except TRANSPORT as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"nats-server at {url} cannot be reached ({reason}); start it or mend its URL") from error
    link.is_up = True
    return client, link


def _trusting(ca: str) -> ssl.SSLContext:
    """Return a context that trusts the certificates of a file."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # of a file without certificates too
        raise BadConfig(
            f"CONTIMG_NATS_CA = {ca!r} cannot be used ({error}); name a file of PEM certificates"
        ) from error
