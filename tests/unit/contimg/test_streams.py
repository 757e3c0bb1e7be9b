"""Subjects, streams and consumers: one list from which the permissions of every service follow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nats.js import api

from contimg import streams
from contimg.limits import ProtocolLimits

TASK = "0123456789abcdef0123456789abcdef"


def test_subjects_are_those_of_the_protocol():
    assert streams.task_subject("main", "image", TASK) == f"contimg.task.main.image.{TASK}"
    assert streams.task_filter("main", "image") == "contimg.task.main.image.*"
    assert streams.task_filter("main") == "contimg.task.main.*.*"
    assert streams.event_subject("main", "image", "started") == "contimg.event.main.image.started"
    assert streams.event_filter("main") == "contimg.event.main.>"
    assert streams.dead_subject("main", "image", TASK) == f"contimg.dead.main.image.{TASK}"
    assert streams.rpc_subject("main", "facts") == "contimg.rpc.main.facts"
    assert streams.consumer_name("main", "image") == "main-image"


def test_a_subject_gives_its_task_back():
    assert streams.task_of(streams.task_subject("main", "image", TASK)) == ("image", TASK)


def test_replicas_and_bytes_are_those_of_the_limits():
    configs = streams.stream_configs(ProtocolLimits(replicas=3, stream_bytes=7))
    assert [item.name for item in configs] == [streams.TASKS, streams.EVENTS, streams.DEAD]
    assert {(item.num_replicas, item.max_bytes) for item in configs} == {(3, 7)}
    assert streams.consumer_config("s", "image", ProtocolLimits(ack_wait_s=5)).ack_wait == 5


def test_drift_names_each_difference():
    wanted = streams.stream_configs(ProtocolLimits())[0]
    found = streams.stream_configs(ProtocolLimits(stream_bytes=7))[0]
    assert streams.drift(found, wanted) == "max_bytes is 7, should be 1073741824"
    assert streams.drift(wanted, wanted) == ""


def test_a_task_is_held_once_and_as_long_as_it_takes():
    """The work queue refuses a second message of a subject, and throws nothing away when it is full (P1)."""
    tasks = streams.stream_configs(ProtocolLimits())[0]
    assert tasks.retention == api.RetentionPolicy.WORK_QUEUE
    assert (tasks.max_msgs_per_subject, tasks.discard_new_per_subject) == (1, True)
    assert tasks.discard == api.DiscardPolicy.NEW
    assert tasks.max_age == 0


@pytest.mark.parametrize(("number", "age"), [(1, "events_age_s"), (2, "dead_age_s")])
def test_what_is_only_told_makes_room_for_what_is_newer(number, age):
    limits = ProtocolLimits()
    config = streams.stream_configs(limits)[number]
    assert config.discard == api.DiscardPolicy.OLD
    assert config.max_age == getattr(limits, age) > 0


def test_all_of_it_outlives_the_server():
    assert {config.storage for config in streams.stream_configs(ProtocolLimits())} == {api.StorageType.FILE}


def test_no_subject_lies_in_two_streams():
    """The server would refuse the second one."""
    firsts = [
        subject.split(".")[1] for config in streams.stream_configs(ProtocolLimits()) for subject in config.subjects
    ]
    made = [
        streams.task_subject("s", "image", TASK),
        streams.event_subject("s", "image", "started"),
        streams.dead_subject("s", "image", TASK),
    ]
    assert sorted(firsts) == sorted(subject.split(".")[1] for subject in made)
    assert streams.rpc_subject("s", "facts").split(".")[1] not in firsts, "questions are not kept"


def test_a_consumer_sees_the_tasks_of_its_stage_and_shard_alone():
    """However often one failed: that the tries are used up is decided by the records, not by the server."""
    config = streams.consumer_config("s", "image", ProtocolLimits())
    assert config.filter_subject == streams.task_filter("s", "image")
    assert config.durable_name == streams.consumer_name("s", "image")
    assert config.ack_policy == api.AckPolicy.EXPLICIT
    assert config.max_deliver == -1


@pytest.mark.parametrize(
    "changes",
    [
        {"retention": api.RetentionPolicy.LIMITS},
        {"discard": api.DiscardPolicy.OLD},
        {"max_msgs_per_subject": -1},
        {"discard_new_per_subject": False},
        {"max_age": 3600.0},
        {"storage": api.StorageType.MEMORY},
        {"num_replicas": 3},
        {"subjects": ["contimg.task.>", "elsewhere.>"]},
        {"max_age": 1.0, "num_replicas": 5},
    ],
)
def test_every_setting_that_the_protocol_needs_is_compared(changes):
    wanted = streams.stream_configs(ProtocolLimits())[0]
    words = streams.drift(replace(wanted, **changes), wanted)
    for name, value in changes.items():
        assert f"{name} is {value!r}, should be {getattr(wanted, name)!r}" in words
    assert words.count(" should be ") == len(changes)


def test_what_a_server_adds_of_its_own_is_no_drift():
    wanted = streams.stream_configs(ProtocolLimits())[0]
    assert streams.drift(replace(wanted, description="mine", duplicate_window=120.0), wanted) == ""
