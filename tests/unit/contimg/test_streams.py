"""Subjects, streams and consumers: one list from which the permissions of every service follow."""

from __future__ import annotations

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
