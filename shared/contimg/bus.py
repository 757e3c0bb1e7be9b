"""The bus: NATS JetStream behind the few words the protocol needs (architecture.md, P1, P2, P8).

Nothing here is truth. A lost message is asked for again, a lost stream is made again, a doubled message meets the
lock and the committed run. All failures of the transport are :class:`contimg.errors.Unavailable`; a server that
refuses us (user, password, a subject) does so for good: :class:`contimg.errors.BadConfig`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext, api
from nats.js import errors as js_errors

from contimg import backlog, rpc, streams
from contimg.errors import BadConfig, BadInput, Unavailable
from contimg.limits import ProtocolLimits
from contimg.link import Link, connect
from contimg.models.task import SCHEMA, Event, Task
from contimg.rpc import TRANSPORT, Handler, transported
from contimg.streams import TASKS

__all__ = ["Asked", "Bus", "Handler", "TaskMessage"]

_REFUSED = 10077
"""JetStream error code of a full stream, in bytes or per subject."""
_log = structlog.get_logger(__name__)


class Asked(StrEnum):
    """What became of asking for a task."""

    ACCEPTED = "accepted"
    ALREADY = "already"
    """Queued or running: the work queue holds one message per subject."""
    FULL = "full"
    """The stream is full: condition BusFull."""


class TaskMessage:
    """A task as it was delivered; exactly one of ack, nak and term ends it."""

    def __init__(self, message: Msg, jetstream: JetStreamContext | None = None) -> None:
        self._message = message
        self._jetstream = jetstream
        self.data = message.data
        self.subject = message.subject

    @property
    def readable(self) -> bool:
        """Whether its schema is this one or the one before; a newer worker may read others."""
        with contextlib.suppress(ValueError, AttributeError, TypeError, RecursionError):
            return json.loads(self.data).get("schema_version", SCHEMA) in {SCHEMA, SCHEMA - 1}
        return True  # nothing that has a version: parse() says so

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

    async def withdrawn(self) -> bool:
        """Return whether it was purged from the queue since its delivery: nobody wants it any more.

        An outage says nothing about that: False.
        """
        if self._jetstream is None:
            return False
        try:
            await self._jetstream.get_msg(TASKS, seq=self._message.metadata.sequence.stream)
        except js_errors.NotFoundError:
            return True
        except TRANSPORT:
            return False
        return False

    async def in_progress(self) -> None:
        """Say that it is still being worked on, which restarts ack_wait."""
        await transported(self._message.in_progress())

    async def ack(self, timeout_s: float = 5.0) -> None:
        """Say that it is done and wait until the server knows."""
        await transported(self._message.ack_sync(timeout=timeout_s))

    async def nak(self, delay_s: float = 0.0) -> None:
        """Hand it back, to be delivered again after a delay."""
        await transported(self._message.nak(delay=delay_s or None))

    async def term(self) -> None:
        """Give it up: it is never delivered again."""
        await transported(self._message.term())


class Bus:
    """One connection to NATS; made by :meth:`connect`."""

    def __init__(self, client: Client, link: Link, shard: str, limits: ProtocolLimits) -> None:
        self._client = client
        self._link = link
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
        ca: str = "",
        shard: str = "main",
        limits: ProtocolLimits | None = None,
        timeout_s: float = 10.0,
    ) -> Self:
        """Connect; afterwards an outage is bridged for ever.

        Parameters
        ----------
        url, user, password
            The server and who we are; answers come to inboxes below ``_INBOX_<user>``.
        ca
            File with the certificates to trust; empty: no TLS unless the URL begins with ``tls://``.
        shard, limits
            Whose tasks, and times of the protocol.
        timeout_s
            How long a server that is not there is waited for.

        Raises
        ------
        BadConfig
            If the server refuses the user or the password.
        Unavailable
            If it cannot be reached within ``timeout_s``.
        """
        client, link = await connect(url, user, password, ca, timeout_s)
        return cls(client, link, shard, limits or ProtocolLimits())

    async def close(self) -> None:
        """End the connection; what was published is flushed."""
        with contextlib.suppress(*TRANSPORT):
            await self._client.flush(timeout=2)
        self._link.closed.cancel()
        await self._client.close()  # draining would wait 30 s for pull subscriptions that still ask

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether the server is there now."""
        return bool(self._client.is_connected)

    @property
    def reconnected(self) -> asyncio.Event:
        """Set when an outage has ended; whoever waits for it clears it."""
        return self._link.reconnected

    @property
    def closed(self) -> asyncio.Future[None]:
        """Gets a ``BadConfig`` when the server refuses us for good; is cancelled by :meth:`close`."""
        return self._link.closed

    # -- P1: streams and consumers ------------------------------------------------------------------------------

    async def ensure_streams(self, stages: Sequence[str] = ()) -> bool:
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
        created = [await self._ensure_stream(config) for config in streams.stream_configs(self.limits)]
        for stage in stages:
            wanted = streams.consumer_config(self.shard, stage, self.limits)
            await _configured(self._jetstream.add_consumer(TASKS, wanted), f"consumer {wanted.durable_name}")
        return created[0]

    async def _ensure_stream(self, wanted: api.StreamConfig) -> bool:
        try:
            info = await self._jetstream.stream_info(str(wanted.name))
        except js_errors.NotFoundError:
            await _configured(self._jetstream.add_stream(wanted), f"stream {wanted.name}")
            return True
        except TRANSPORT as error:
            raise Unavailable(f"JetStream did not tell of stream {wanted.name} ({error})") from error
        if differs := streams.drift(info.config, wanted):
            what = f"stream {wanted.name} differs ({differs}) and cannot be changed; delete it, it holds no truth"
            await _configured(self._jetstream.update_stream(wanted), what)
        return False

    async def forget_tasks(self) -> None:
        """Empty the shard's work queue, for a host that is alone: what is still wanted is asked for again at once.

        Raises
        ------
        Unavailable
            If the server does not answer.
        """
        await transported(self._jetstream.purge_stream(TASKS, subject=streams.task_filter(self.shard)))

    async def measure(self, stages: Sequence[str]) -> None:
        """Show how much lies on the bus; see :func:`contimg.backlog.measure`."""
        await backlog.measure(self._jetstream, self.shard, stages)

    # -- P2: asking and withdrawing -----------------------------------------------------------------------------

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
        subject = streams.task_subject(self.shard, task.stage, task.task)
        try:
            await self._jetstream.publish(subject, data, timeout=self.limits.rpc_s, stream=TASKS)
        except js_errors.APIError as error:
            if error.err_code != _REFUSED:
                raise Unavailable(f"JetStream refused task {task.task} ({error.description})") from error
            # One code for both limits; only the words tell which (nats-server 2.9 to 2.15).
            return Asked.ALREADY if "per subject" in (error.description or "") else Asked.FULL
        except TRANSPORT as error:
            raise Unavailable(f"task {task.task} could not be asked for ({error})") from error
        return Asked.ACCEPTED

    async def queued(self) -> list[tuple[str, str]]:
        """Return stage and id of the shard's tasks in the queue: those that wait and those being worked on.

        Raises
        ------
        Unavailable
            If the server does not answer.
        """
        found = await transported(self._jetstream.stream_info(TASKS, streams.task_filter(self.shard)))
        return [streams.task_of(subject) for subject in found.state.subjects or ()]

    async def withdraw(self, stage: str, task: str) -> None:
        """Take a task out of the queue; an attempt that runs goes on, and is not followed by another.

        Raises
        ------
        Unavailable
            If the server does not answer.
        """
        subject = streams.task_subject(self.shard, stage, task)
        await transported(self._jetstream.purge_stream(TASKS, subject=subject))

    # -- the worker's side --------------------------------------------------------------------------------------

    async def fetch(self, stage: str) -> TaskMessage | None:
        """Wait up to ``limits.fetch_s`` for a task of a stage; None if none came.

        Raises
        ------
        Unavailable
            If the stream or consumer is gone (then the next fetch binds anew) or the server is.
        """
        name = streams.consumer_name(self.shard, stage)
        try:
            if name not in self._pulls:
                self._pulls[name] = await self._jetstream.pull_subscribe_bind(consumer=name, stream=TASKS)
            messages = await self._pulls[name].fetch(1, timeout=self.limits.fetch_s)
        except nats.errors.TimeoutError:
            return None
        except TRANSPORT as error:
            await self._unbind(name)
            raise Unavailable(f"consumer {name} cannot be read ({type(error).__name__}: {error})") from error
        return TaskMessage(messages[0], self._jetstream)

    async def _unbind(self, name: str) -> None:
        pull = self._pulls.pop(name, None)
        if pull is not None:
            with contextlib.suppress(*TRANSPORT):
                await pull.unsubscribe()

    async def event(self, kind: str, stage: str, unit: str, data: dict[str, Any]) -> None:
        """Publish ``contimg.event.<shard>.<stage>.<kind>``; an outage loses it, which nobody may mind.

        ``kind`` is the last word of an event type: asked, started, committed, failed, progress, sealed.
        """
        event = Event(
            id=secrets.token_hex(8),
            source=f"contimg/{self.shard}",
            type=f"org.contimg.{'ingest' if kind == 'sealed' else 'task'}.{kind}",
            subject=f"{stage}/{unit}",
            time=datetime.now(UTC),
            data=data,
        )
        subject = streams.event_subject(self.shard, stage, kind)
        try:
            await self._client.publish(subject, event.model_dump_json().encode())
        except TRANSPORT as error:
            _log.info("event lost", kind=kind, stage=stage, unit=unit, error=str(error))

    async def dead(self, task: Task, message: str) -> None:
        """Copy a task that is given up to ``contimg.dead.<shard>.<stage>.<task>``, with the reason in a header."""
        subject = streams.dead_subject(self.shard, task.stage, task.task)
        headers = {"Contimg-Error": " ".join(message.split())[:1024]}
        await transported(self._jetstream.publish(subject, task.model_dump_json().encode(), headers=headers))

    async def subscribe_events(self, callback: Callable[[Event], Awaitable[None]]) -> Subscription:
        """Call back for every event of the shard from now on; what is missed is found at the next look."""

        async def received(message: Msg) -> None:
            try:
                event = Event.model_validate_json(message.data)
            except ValueError:
                _log.info("unreadable event", subject=message.subject)
                return
            await callback(event)

        return await self._client.subscribe(streams.event_filter(self.shard), cb=received)

    # -- P8: the keeper's RPC -----------------------------------------------------------------------------------

    async def request(self, subject: str, payload: dict[str, Any], timeout_s: float = 0.0) -> dict[str, Any]:
        """Ask the server of a subject, e.g. ``rpc_subject(shard, "facts")``, and put its pages together.

        Raises
        ------
        Unavailable
            If nobody serves it or a page is overdue.
        ContimgError
            What the server raised, by its class.
        """
        return await rpc.request(self._client, subject, payload, timeout_s or self.limits.rpc_s)

    async def serve(self, subject: str, handler: Handler) -> Subscription:
        """Answer requests, in pages of at most ``limits.page_bytes``; our own errors travel by their class."""
        return await rpc.serve(self._client, subject, handler, self.limits.page_bytes)


async def _configured(call: Awaitable[Any], what: str) -> None:
    try:
        await call
    except js_errors.APIError as error:
        raise BadConfig(f"{what}: nats-server refused it ({error.description})") from error
    except TRANSPORT as error:
        raise Unavailable(f"{what}: nats-server did not answer ({error})") from error
