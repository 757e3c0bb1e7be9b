"""The bus: NATS JetStream behind the few words the protocol needs (architecture.md, P1, P2, P8).

Nothing here is truth. A lost message is asked for again, a lost stream is made again, a doubled message meets the
lock and the committed run. All failures of the transport are :class:`contimg.errors.Unavailable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext, api
from nats.js import errors as js_errors

from contimg.errors import BadConfig, BadInput, ContimgError, Unavailable, by_name
from contimg.limits import ProtocolLimits
from contimg.models.task import SCHEMA, Event, Task

__all__ = ["DEAD", "EVENTS", "TASKS", "Asked", "Bus", "Handler", "TaskMessage"]

TASKS, EVENTS, DEAD = "CONTIMG_TASKS", "CONTIMG_EVENTS", "CONTIMG_DEAD"
_REFUSED = 10077
"""JetStream error code of a full stream, in bytes or per subject."""
_PAGE, _PAGES = "Contimg-Page", "Contimg-Pages"
_TRANSPORT = (nats.errors.Error, asyncio.TimeoutError, OSError)
_log = structlog.get_logger(__name__)

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Answers one request of the keeper's RPC."""


class Asked(StrEnum):
    """What became of asking for a task."""

    ACCEPTED = "accepted"
    ALREADY = "already"
    """Queued or running: the work queue holds one message per subject."""
    FULL = "full"
    """The stream is full: condition BusFull."""


class TaskMessage:
    """A task as it was delivered; exactly one of ack, nak and term ends it."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        self.data = message.data
        self.subject = message.subject

    @property
    def deliveries(self) -> int:
        """How often it has been delivered, from 1."""
        return self._message.metadata.num_delivered or 1

    @property
    def waiting(self) -> int:
        """How many more tasks waited behind it when it was delivered."""
        return self._message.metadata.num_pending or 0

    @property
    def readable(self) -> bool:
        """Whether its schema is this one or the one before; a newer worker may read others."""
        with contextlib.suppress(ValueError, AttributeError):
            return json.loads(self.data).get("schema_version", SCHEMA) in {SCHEMA, SCHEMA - 1}
        return True  # not JSON at all: parse() says so

    def parse(self) -> Task:
        """Return the task.

        Raises
        ------
        BadInput
            If the message does not follow its schema.
        """
        try:
            return Task.model_validate_json(self.data)
        except ValueError as error:
            raise BadInput(f"message on {self.subject} is no task: {error}") from error

    async def in_progress(self) -> None:
        """Say that it is still being worked on, which restarts ack_wait."""
        await _transported(self._message.in_progress())

    async def ack(self, timeout_s: float = 5.0) -> None:
        """Say that it is done and wait until the server knows."""
        await _transported(self._message.ack_sync(timeout=timeout_s))

    async def nak(self, delay_s: float = 0.0) -> None:
        """Hand it back, to be delivered again after a delay."""
        await _transported(self._message.nak(delay=delay_s or None))

    async def term(self) -> None:
        """Give it up: it is never delivered again."""
        await _transported(self._message.term())


async def _transported(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except _TRANSPORT as error:
        raise Unavailable(f"the bus did not answer ({type(error).__name__}: {error})") from error


class Bus:
    """One connection to NATS; made by :meth:`connect`."""

    def __init__(self, client: Client, shard: str, limits: ProtocolLimits) -> None:
        self._client = client
        self._jetstream: JetStreamContext = client.jetstream(timeout=limits.rpc_s)
        self._pulls: dict[str, JetStreamContext.PullSubscription] = {}
        self.shard = shard
        self.limits = limits

    @classmethod
    async def connect(
        cls,
        url: str,
        user: str = "",
        password: str = "",
        *,
        shard: str = "main",
        limits: ProtocolLimits | None = None,
        timeout_s: float = 10.0,
    ) -> Self:
        """Connect; afterwards an outage is bridged for ever.

        Raises
        ------
        Unavailable
            If the server cannot be reached within ``timeout_s``, or refuses the password.
        """
        options: dict[str, Any] = {"user": user, "password": password} if user else {}
        options |= {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.2, "connect_timeout": 2, "drain_timeout": 2}
        connecting = nats.connect(url, error_cb=_note_error, **options)
        try:
            client = await asyncio.wait_for(connecting, timeout_s)
        except _TRANSPORT as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"nats-server at {url} cannot be reached ({reason}); start it or mend its URL") from error
        return cls(client, shard, limits or ProtocolLimits())

    async def close(self) -> None:
        """End the connection; what was published is flushed."""
        with contextlib.suppress(*_TRANSPORT):
            await self._client.flush(timeout=2)
        await self._client.close()  # draining would wait 30 s for pull subscriptions that still ask

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- P1: streams and consumers ------------------------------------------------------------------------------

    async def ensure_streams(self, stages: Sequence[str] = (), shards: Sequence[str] = ()) -> bool:
        """Create the three streams and the consumers of the stages, or bring them to what they should be.

        Returns
        -------
        bool
            True if the task stream had to be created: ask for everything again at once.

        Raises
        ------
        BadConfig
            If one exists with something that cannot be changed, or the server refuses it.
        Unavailable
            If the server does not answer.
        """
        created = [await self._ensure_stream(config) for config in _streams(self.limits)]
        for shard in shards or (self.shard,):
            for stage in stages:
                await self._ensure_consumer(shard, stage)
        return created[0]

    async def _ensure_stream(self, wanted: api.StreamConfig) -> bool:
        try:
            info = await self._jetstream.stream_info(str(wanted.name))
        except js_errors.NotFoundError:
            await _configured(self._jetstream.add_stream(wanted), f"stream {wanted.name}")
            return True
        except _TRANSPORT as error:
            raise Unavailable(f"JetStream did not tell of stream {wanted.name} ({error})") from error
        if drift := _drift(info.config, wanted):
            what = f"stream {wanted.name} differs ({drift}) and cannot be changed; delete it, it holds no truth"
            await _configured(self._jetstream.update_stream(wanted), what)
        return False

    async def _ensure_consumer(self, shard: str, stage: str) -> None:
        wanted = api.ConsumerConfig(
            durable_name=f"{shard}-{stage}",
            filter_subject=f"contimg.task.{shard}.{stage}.*",
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=self.limits.ack_wait_s,
            max_deliver=-1,
            max_ack_pending=self.limits.max_ack_pending,
        )
        await _configured(self._jetstream.add_consumer(TASKS, wanted), f"consumer {wanted.durable_name}")

    async def forget_tasks(self) -> None:
        """Empty the work queue, for a host that is alone: what is still wanted is asked for again at once.

        Raises
        ------
        Unavailable
            If the server does not answer.
        """
        try:
            await self._jetstream.purge_stream(TASKS)
        except _TRANSPORT as error:
            raise Unavailable(f"JetStream did not empty {TASKS} ({error})") from error

    # -- P2: asking ---------------------------------------------------------------------------------------------

    async def ask(self, task: Task) -> Asked:
        """Put a task into the work queue unless it is there.

        Raises
        ------
        BadConfig
            If the message is larger than the protocol allows.
        Unavailable
            If the stream is missing or the server does not answer.
        """
        data = task.model_dump_json().encode()
        if len(data) > self.limits.message_bytes:
            raise BadConfig(
                f"the message for task {task.task} ({task.stage} of {task.unit}) has {len(data)} bytes, at most "
                f"{self.limits.message_bytes} are allowed; select fewer observations"
            )
        subject = f"contimg.task.{self.shard}.{task.stage}.{task.task}"
        try:
            await self._jetstream.publish(subject, data, timeout=self.limits.rpc_s, stream=TASKS)
        except js_errors.APIError as error:
            if error.err_code != _REFUSED:
                raise Unavailable(f"JetStream refused task {task.task} ({error.description})") from error
            # One code for both limits; only the words tell which (nats-server 2.9 to 2.15).
            return Asked.ALREADY if "per subject" in (error.description or "") else Asked.FULL
        except _TRANSPORT as error:
            raise Unavailable(f"task {task.task} could not be asked for ({error})") from error
        return Asked.ACCEPTED

    # -- the worker's side --------------------------------------------------------------------------------------

    async def fetch(self, stage: str, shard: str = "") -> TaskMessage | None:
        """Wait up to ``limits.fetch_s`` for a task of a stage; None if none came.

        Raises
        ------
        Unavailable
            If the stream or consumer is gone (then the next fetch binds anew) or the server is.
        """
        name = f"{shard or self.shard}-{stage}"
        try:
            if name not in self._pulls:
                self._pulls[name] = await self._jetstream.pull_subscribe_bind(consumer=name, stream=TASKS)
            messages = await self._pulls[name].fetch(1, timeout=self.limits.fetch_s)
        except nats.errors.TimeoutError:
            return None
        except _TRANSPORT as error:
            await self._unbind(name)
            raise Unavailable(f"consumer {name} cannot be read ({type(error).__name__}: {error})") from error
        return TaskMessage(messages[0])

    async def _unbind(self, name: str) -> None:
        pull = self._pulls.pop(name, None)
        if pull is not None:
            with contextlib.suppress(*_TRANSPORT):
                await pull.unsubscribe()

    async def event(self, kind: str, stage: str, unit: str, data: dict[str, Any]) -> None:
        """Publish ``contimg.event.<shard>.<stage>.<kind>``; an outage loses it, which nobody may mind.

        ``kind`` is the last word of an event type: asked, started, committed, failed, progress, sealed.
        """
        noun = "ingest" if kind == "sealed" else "task"
        event = Event(
            id=secrets.token_hex(8),
            source=f"contimg/{self.shard}",
            type=f"org.contimg.{noun}.{kind}",
            subject=f"{stage}/{unit}",
            time=datetime.now(UTC),
            data=data,
        )
        try:
            await self._client.publish(f"contimg.event.{self.shard}.{stage}.{kind}", event.model_dump_json().encode())
        except _TRANSPORT as error:
            _log.info("event lost", kind=kind, stage=stage, unit=unit, error=str(error))

    async def dead(self, task: Task, message: str) -> None:
        """Copy a task that is given up to ``contimg.dead.<shard>.<stage>.<task>``, with the reason in a header."""
        subject = f"contimg.dead.{self.shard}.{task.stage}.{task.task}"
        headers = {"Contimg-Error": " ".join(message.split())[:1024]}
        await _transported(self._jetstream.publish(subject, task.model_dump_json().encode(), headers=headers))

    async def subscribe_events(self, callback: Callable[[Event], Awaitable[None]]) -> Subscription:
        """Call back for every event from now on; what is missed is found at the next look."""

        async def received(message: Msg) -> None:
            try:
                event = Event.model_validate_json(message.data)
            except ValueError:
                _log.info("unreadable event", subject=message.subject)
                return
            await callback(event)

        return await self._client.subscribe("contimg.event.>", cb=received)

    # -- P8: the keeper's RPC -----------------------------------------------------------------------------------

    async def request(self, subject: str, payload: dict[str, Any], timeout_s: float = 0.0) -> dict[str, Any]:
        """Ask the server of a subject, e.g. ``contimg.rpc.<shard>.facts``, and put its pages together.

        Raises
        ------
        Unavailable
            If nobody serves it or a page is overdue.
        ContimgError
            What the server raised, by its class.
        """
        inbox = self._client.new_inbox()
        wait = timeout_s or self.limits.rpc_s
        try:
            pages = await self._client.subscribe(inbox)
            async with _unsubscribed(pages):
                await self._client.publish(subject, json.dumps(payload).encode(), reply=inbox)
                data = await _collect(pages, subject, wait)
        except _TRANSPORT as error:
            raise Unavailable(f"{subject} did not answer within {wait:g} s") from error
        answer: dict[str, Any] = json.loads(data)
        if "error" in answer:
            raise by_name(answer["error"]["name"])(answer["error"]["message"])
        return dict(answer["ok"])

    async def serve(self, subject: str, handler: Handler) -> Subscription:
        """Answer requests, in pages of at most ``limits.page_bytes``; our own errors travel by their class."""

        async def received(message: Msg) -> None:
            try:
                answer = {"ok": await handler(json.loads(message.data))}
            except ContimgError as error:
                answer = {"error": {"name": type(error).__name__, "message": str(error)}}
            except (ValueError, KeyError, TypeError) as error:
                answer = {"error": {"name": "BadInput", "message": f"{subject} cannot read the request: {error!r}"}}
            await self._reply(message, json.dumps(answer).encode())

        subscription = await self._client.subscribe(subject, cb=received)
        await _transported(self._client.flush())  # who is told that we serve may ask at once
        return subscription

    async def _reply(self, message: Msg, data: bytes) -> None:
        size = self.limits.page_bytes
        pages = [data[start : start + size] for start in range(0, len(data), size)]
        for number, page in enumerate(pages, start=1):
            headers = {_PAGE: str(number), _PAGES: str(len(pages))}
            await self._client.publish(message.reply, page, headers=headers)


@contextlib.asynccontextmanager
async def _unsubscribed(subscription: Subscription) -> AsyncIterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(*_TRANSPORT):
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


async def _configured(call: Awaitable[Any], what: str) -> None:
    try:
        await call
    except js_errors.APIError as error:
        raise BadConfig(f"{what}: nats-server refused it ({error.description})") from error
    except _TRANSPORT as error:
        raise Unavailable(f"{what}: nats-server did not answer ({error})") from error


async def _note_error(error: Exception) -> None:
    _log.info("bus", error=str(error) or type(error).__name__)


def _streams(limits: ProtocolLimits) -> list[api.StreamConfig]:
    size, copies = limits.stream_bytes, limits.replicas
    common: dict[str, Any] = {"storage": api.StorageType.FILE, "max_bytes": size, "num_replicas": copies}
    old = {"retention": api.RetentionPolicy.LIMITS, "discard": api.DiscardPolicy.OLD}
    tasks = api.StreamConfig(
        name=TASKS,
        subjects=["contimg.task.>"],
        retention=api.RetentionPolicy.WORK_QUEUE,
        discard=api.DiscardPolicy.NEW,
        max_msgs_per_subject=1,
        discard_new_per_subject=True,
        max_age=0.0,
        **common,
    )
    events = api.StreamConfig(name=EVENTS, subjects=["contimg.event.>"], max_age=limits.events_age_s, **common, **old)
    dead = api.StreamConfig(name=DEAD, subjects=["contimg.dead.>"], max_age=limits.dead_age_s, **common, **old)
    return [tasks, events, dead]


_CHECKED = (
    "subjects",
    "retention",
    "discard",
    "max_msgs_per_subject",
    "discard_new_per_subject",
    "max_age",
    "max_bytes",
    "storage",
    "num_replicas",
)


def _drift(found: api.StreamConfig, wanted: api.StreamConfig) -> str:
    pairs = [(name, getattr(found, name), getattr(wanted, name)) for name in _CHECKED]
    return ", ".join(f"{name} is {old!r}, should be {new!r}" for name, old, new in pairs if old != new)
