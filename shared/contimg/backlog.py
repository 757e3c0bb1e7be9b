"""How much lies on the bus, asked of JetStream's API and shown as metrics: the server needs no exporter."""

from __future__ import annotations

from collections.abc import Sequence

from nats.js import JetStreamContext, api
from nats.js import errors as js_errors

from contimg.errors import Unavailable
from contimg.rpc import TRANSPORT, transported
from contimg.streams import DEAD, EVENTS, TASKS, consumer_name, task_filter
from contimg.telemetry import BUS_OLDEST, BUS_STREAM_BYTES, BUS_STREAM_LIMIT, BUS_STREAM_MESSAGES, BUS_TASKS

__all__ = ["forget", "measure"]

_FIGURES = (BUS_STREAM_MESSAGES, BUS_STREAM_BYTES, BUS_STREAM_LIMIT, BUS_TASKS, BUS_OLDEST)


async def measure(jetstream: JetStreamContext, shard: str, stages: Sequence[str]) -> None:
    """Ask for the state of the streams and of each stage's queue.

    Raises
    ------
    Unavailable
        If the server does not answer, or one of them is gone.
    """
    try:
        streams = {name: await transported(jetstream.stream_info(name)) for name in (TASKS, EVENTS, DEAD)}
        names = {stage: consumer_name(shard, stage) for stage in stages}
        queues = {stage: await transported(jetstream.consumer_info(TASKS, name)) for stage, name in names.items()}
        oldest = {stage: await _oldest(jetstream, shard, stage) for stage, queue in queues.items() if _depth(queue)}
    except Unavailable:
        forget()
        raise
    BUS_STREAM_MESSAGES.set({(name,): info.state.messages for name, info in streams.items()})
    BUS_STREAM_BYTES.set({(name,): info.state.bytes for name, info in streams.items()})
    BUS_STREAM_LIMIT.set({(name,): info.config.max_bytes or 0 for name, info in streams.items()})
    BUS_TASKS.set({(stage, state): n for stage, queue in queues.items() for state, n in _states(queue).items()})
    BUS_OLDEST.set({(stage,): asked for stage, asked in oldest.items() if asked is not None})


def forget() -> None:
    """Show no figures any more: those of a server that does not answer are old ones."""
    for figure in _FIGURES:
        figure.set({})


def _states(queue: api.ConsumerInfo) -> dict[str, int]:
    """Return how many tasks wait to be taken, are in hand or come again after a pause, and were taken before."""
    return {
        "waiting": queue.num_pending or 0,
        "in_hand": queue.num_ack_pending or 0,
        "redelivered": queue.num_redelivered or 0,
    }


def _depth(queue: api.ConsumerInfo) -> int:
    return (queue.num_pending or 0) + (queue.num_ack_pending or 0)


async def _oldest(jetstream: JetStreamContext, shard: str, stage: str) -> float | None:
    """Return when the oldest task of a stage was asked for, in seconds since 1970; None: it was taken meanwhile."""
    try:
        found = await jetstream.get_msg(TASKS, seq=1, subject=task_filter(shard, stage), next=True)
    except js_errors.NotFoundError:
        return None
    except TRANSPORT as error:
        raise Unavailable(f"JetStream did not give the oldest task of {stage} ({error})") from error
    return found.time.timestamp() if found.time is not None else None
