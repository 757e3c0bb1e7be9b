"""When a task is given up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_stages import toy_task

from contimg.errors import by_name
from contimg.limits import ProtocolLimits
from contimg.models.attempts import Tally, given_up, tally
from contimg.models.manifest import AttemptRecord

LIMITS = ProtocolLimits()
TASK = toy_task()
OUTCOMES = [
    "running", "committed", "back", "Retryable", "ResourceExhausted", "WorkerLost", "DataQuality", "Terminal",
    "Nonsense",
]  # fmt: skip


def record_of(number: int, round_: int, what: str) -> AttemptRecord:
    state = what if what in {"running", "committed"} else "failed"
    error = {"back": "Retryable"}.get(what, what) if state == "failed" else ""
    common = {"task": TASK.task, "stage": "toy", "unit": "u", "group": "g", "started": "2026-01-25T22:00:13Z"}
    counted = what not in {"WorkerLost", "back"}
    return AttemptRecord(number=number, round=round_, state=state, error=error, counted=counted, **common)


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(OUTCOMES)), max_size=12), st.integers(0, 4), st.randoms())
def test_tries_count_in_the_highest_round_alone(outcomes, asked, dice):
    records = [record_of(number, *outcome) for number, outcome in enumerate(outcomes, start=1)]
    dice.shuffle(records)
    found = tally(records, asked)
    assert found.round == max([asked, *(round_ for round_, _ in outcomes)])
    ended = [what for round_, what in outcomes if round_ == found.round and what not in {"running", "committed"}]
    assert found.lost == ended.count("WorkerLost")
    assert found.failed == len(ended) - found.lost - ended.count("back")
    final = bool(ended) and not by_name(found.last.error).retryable
    assert given_up(found, LIMITS) is (final or found.failed >= 3 or found.lost >= LIMITS.lost_cap)


@pytest.mark.parametrize(
    ("count", "error", "final"),
    [
        ({}, "", False),
        ({"failed": 2}, "Retryable", False),
        ({"failed": 3}, "Retryable", True),
        ({"failed": 1}, "DataQuality", True),
        ({"failed": 1}, "FromTheFuture", True),
        ({"lost": 9}, "WorkerLost", False),
        ({"lost": 10}, "WorkerLost", True),
    ],
)
def test_when_a_task_is_given_up(count, error, final):
    last = record_of(1, 0, error) if error else None
    assert given_up(Tally(0, **count, last=last), LIMITS) is final


def test_a_task_may_bring_its_own_number_of_tries():
    count = Tally(0, failed=1, last=record_of(1, 0, "Retryable"))
    assert (given_up(count, LIMITS, 1), given_up(count, LIMITS, 2)) == (True, False)
