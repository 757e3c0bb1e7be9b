"""Requests over the bus with answers in pages; our own errors travel by their class (architecture.md, P8)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from contimg.errors import ContimgError, Unavailable, by_name

__all__ = ["TRANSPORT", "Handler", "request", "serve", "transported"]

TRANSPORT = (nats.errors.Error, asyncio.TimeoutError, OSError)
"""What the client raises when the server is away, slow or without the thing asked for."""
_PAGE, _PAGES = "Contimg-Page", "Contimg-Pages"

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Answers one request."""


async def transported(call: Awaitable[Any]) -> Any:
    """Await a call of the client; its failures become ``Unavailable``."""
    try:
        return await call
    except TRANSPORT as error:
        raise Unavailable(f"the bus did not answer ({type(error).__name__}: {error})") from error


async def request(client: Client, subject: str, payload: dict[str, Any], wait_s: float) -> dict[str, Any]:
    """Ask the server of a subject and put the pages of its answer together; see :meth:`contimg.bus.Bus.request`."""
    inbox = client.new_inbox()
    try:
        pages = await client.subscribe(inbox)
        async with _unsubscribed(pages):
            await client.publish(subject, json.dumps(payload).encode(), reply=inbox)
            data = await _collect(pages, subject, wait_s)
    except TRANSPORT as error:
        raise Unavailable(f"{subject} did not answer within {wait_s:g} s") from error
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        raise by_name(answer["error"]["name"])(answer["error"]["message"])
    return dict(answer["ok"])


@contextlib.asynccontextmanager
async def _unsubscribed(subscription: Subscription) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(*TRANSPORT):
            await subscription.unsubscribe()


async def _collect(pages: Subscription, subject: str, wait_s: float) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await pages.next_msg(timeout=wait_s)
        headers = message.headers or {}
        if headers.get("Status") == "503":
            raise Unavailable(f"nobody serves {subject}; is the keeper running?")
        parts.append(message.data)
        if len(parts) == int(headers.get(_PAGES, 1)):
            return b"".join(parts)


async def serve(client: Client, subject: str, handler: Handler, page_bytes: int) -> Subscription:
    """Answer the requests of a subject, in pages of at most ``page_bytes``; see :meth:`contimg.bus.Bus.serve`."""

    async def received(message: Msg) -> None:
        try:
            answer = {"ok": await handler(json.loads(message.data))}
        except ContimgError as error:
            answer = {"error": {"name": type(error).__name__, "message": str(error)}}
        except OSError as error:  # else the asker would only see that nobody answers
            answer = {"error": {"name": "Unavailable", "message": f"{subject} cannot answer now ({error})"}}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": {"name": "BadInput", "message": f"{subject} cannot read the request: {error!r}"}}
        data = json.dumps(answer).encode()
        pages = [data[start : start + page_bytes] for start in range(0, len(data), page_bytes)]
        for number, page in enumerate(pages, start=1):
            await client.publish(message.reply, page, headers={_PAGE: str(number), _PAGES: str(len(pages))})

    subscription = await client.subscribe(subject, cb=received)
    await transported(client.flush())  # who is told that we serve may ask at once
    return subscription
