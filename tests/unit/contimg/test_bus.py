from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from toy_stages import toy_task

from contimg.bus import TaskMessage
from contimg.errors import BadInput
from contimg.models.task import SCHEMA


def message(data: bytes) -> TaskMessage:
    return TaskMessage(SimpleNamespace(data=data, subject="contimg.task.default.toy.1"))


def test_schema_n_and_the_one_before_are_readable():
    task = toy_task()
    text = json.loads(task.model_dump_json())
    assert message(json.dumps(text).encode()).readable
    assert message(json.dumps(text | {"schema_version": SCHEMA - 1}).encode()).readable
    assert not message(json.dumps(text | {"schema_version": SCHEMA + 1}).encode()).readable


SHORT = f'{{"schema_version": {SCHEMA}, "task": "short"}}'.encode()


@pytest.mark.parametrize(
    "data",
    [b"", b"rubbish", b"[]", b"{}", b'{"schema_version": []}', b"[" * 9999, SHORT],
)
def test_what_is_no_task_is_bad_input_that_names_the_subject(data):
    assert message(data).readable, "or it would be handed back for ever"
    with pytest.raises(BadInput, match=r"message on contimg\.task\.default\.toy\.1 is no task"):
        message(data).parse()
