"""What the bus consists of: its subjects, streams and consumers (architecture.md, P1).

Every subject of the project is made here, so that the permissions of a service's NATS user can be generated from the
functions its code calls.
"""

from __future__ import annotations

from typing import Any

from nats.js import api

from contimg.limits import ProtocolLimits

__all__ = [
    "DEAD",
    "EVENTS",
    "TASKS",
    "consumer_config",
    "consumer_name",
    "dead_subject",
    "drift",
    "event_filter",
    "event_subject",
    "rpc_subject",
    "stream_configs",
    "task_filter",
    "task_of",
    "task_subject",
]

TASKS, EVENTS, DEAD = "CONTIMG_TASKS", "CONTIMG_EVENTS", "CONTIMG_DEAD"
"""Names of the three streams."""


def task_subject(shard: str, stage: str, task: str) -> str:
    """Return the subject of one task: the work queue holds one message of it."""
    return f"contimg.task.{shard}.{stage}.{task}"


def task_filter(shard: str, stage: str = "*") -> str:
    """Return the subjects of all tasks of a stage, or of a shard."""
    return task_subject(shard, stage, "*")


def task_of(subject: str) -> tuple[str, str]:
    """Return stage and task id of a task's subject."""
    stage, task = subject.split(".")[3:5]
    return stage, task


def event_subject(shard: str, stage: str, kind: str) -> str:
    """Return the subject of an event; ``kind`` is the last word of its type."""
    return f"contimg.event.{shard}.{stage}.{kind}"


def event_filter(shard: str = "*") -> str:
    """Return the subjects of all events of a shard."""
    return f"contimg.event.{shard}.>"


def dead_subject(shard: str, stage: str, task: str) -> str:
    """Return the subject under which a task that was given up is kept."""
    return f"contimg.dead.{shard}.{stage}.{task}"


def rpc_subject(shard: str, verb: str) -> str:
    """Return the subject on which the keeper of a shard answers."""
    return f"contimg.rpc.{shard}.{verb}"


def consumer_name(shard: str, stage: str) -> str:
    """Return the name of the consumer that the workers of a stage share."""
    return f"{shard}-{stage}"


def consumer_config(shard: str, stage: str, limits: ProtocolLimits) -> api.ConsumerConfig:
    """Return what the consumer of a stage should be."""
    return api.ConsumerConfig(
        durable_name=consumer_name(shard, stage),
        filter_subject=task_filter(shard, stage),
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=limits.ack_wait_s,
        max_deliver=-1,
        max_ack_pending=limits.max_ack_pending,
    )


def stream_configs(limits: ProtocolLimits) -> list[api.StreamConfig]:
    """Return what the three streams should be, that of the tasks first."""
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


def drift(found: api.StreamConfig, wanted: api.StreamConfig) -> str:
    """Return in words where a stream differs from what it should be; empty if nowhere."""
    pairs = [(name, getattr(found, name), getattr(wanted, name)) for name in _CHECKED]
    return ", ".join(f"{name} is {old!r}, should be {new!r}" for name, old, new in pairs if old != new)
