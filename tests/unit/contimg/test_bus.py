from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from toy_stages import toy_task

from contimg.bus import TaskMessage
from contimg.errors import BadInput


def message(data: bytes) -> TaskMessage:
    return TaskMessage(SimpleNamespace(data=data, subject="contimg.task.default.toy.1"))


def test_schema_n_and_the_one_before_are_readable():
    task = toy_task()
    text = json.loads(task.model_dump_json())
    assert message(json.dumps(text).encode()).readable
    assert message(json.dumps(text | {"schema_version": 0}).encode()).readable
    assert not message(json.dumps(text | {"schema_version": 2}).encode()).readable


@pytest.mark.parametrize("data", [b"", b"rubbish", b"[]", b"{}", b'{"schema_version": 1, "task": "short"}'])
def test_what_is_no_task_is_bad_input_that_names_the_subject(data):
    with pytest.raises(BadInput, match=r"message on contimg\.task\.default\.toy\.1 is no task"):
        message(data).parse()
