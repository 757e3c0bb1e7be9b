"""Records that cross a process boundary: closed, and the same after JSON."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from contimg.models.fact import Facts, GroupRecord, RunFact, TryFact
from contimg.models.manifest import AttemptRecord, AttemptState, InputRef, Manifest, Product, Usage
from contimg.models.quality import Verdict, judge
from contimg.models.task import Event, Limits, Task

NOW = datetime(2026, 1, 25, 22, 0, 13, tzinfo=UTC)
TASK = "0123456789abcdef" * 2

RECORDS = [
    Manifest(
        task=TASK,
        stage="image",
        recipe_version=1,
        version="0.1.0",
        unit="u",
        group="g",
        date="2026-01-25",
        params={"robust": 0.5},
        inputs=(InputRef(task=TASK, home="calibrated_ms", sha256="s"),),
        products=(Product(type="image", id="i", path="i.image"),),
        figures=(judge("image.rms", float("nan"), failed_above=1.0),),
        attempt=1,
        host="h",
        started=NOW,
        finished=NOW,
        usage=Usage(wall_s=1.5),
    ),
    AttemptRecord(task=TASK, number=1, stage="image", unit="u", group="g", state=AttemptState.RUNNING, started=NOW),
    Task(
        task=TASK,
        stage="image",
        recipe_version=1,
        unit="u",
        home="image",
        group="g",
        date="2026-01-25",
        params={},
        inputs={"calibrated_ms": (TASK,)},
        limits=Limits(time_s=5),
    ),
    Event(id="1", source="s", type="org.contimg.task.committed", subject="image/u", time=NOW),
    Facts(
        runs={TASK: RunFact(task=TASK, stage="s", unit="u", home="h", present=True, verdict="pass", finished=NOW)},
        tries={TASK: TryFact(task=TASK, round=1)},
        record=GroupRecord(
            group="g", spec_digest="d", task=TASK, published=True, verdict=Verdict.PASS, at=NOW, members=("u",)
        ),
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda item: type(item).__name__)
def test_json_and_back_is_the_same(record):
    assert type(record).model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda item: type(item).__name__)
def test_unknown_fields_are_refused(record):
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(record).model_validate(record.model_dump() | {"colour": "red"})


@pytest.mark.parametrize("bad", ["", "x" * 32, TASK.upper(), TASK[:-1], TASK + "0"])
def test_task_ids_are_32_hexadecimal_digits(bad):
    with pytest.raises(ValidationError):
        TryFact(task=bad, round=0)


def test_events_have_known_types_only():
    with pytest.raises(ValidationError):
        Event(id="1", source="s", type="org.contimg.task.exploded", subject="x", time=NOW)
