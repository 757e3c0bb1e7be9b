"""When a task is given up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contimg.limits import ProtocolLimits
from contimg.models.attempts import backoff_s, given_up, tally
from contimg.models.manifest import AttemptRecord, AttemptState

LIMITS = ProtocolLimits()


def record(number, error="Unavailable", round_=0, state=AttemptState.FAILED):
    return AttemptRecord(
        task="a" * 32,
        number=number,
        round=round_,
        stage="s",
        unit="u",
        group="g",
        state=state,
        started=datetime(2026, 1, 25, tzinfo=UTC),
        error=error if state is AttemptState.FAILED else "",
        counted=error != "WorkerLost",
    )


def test_the_highest_round_counts_and_lost_workers_apart():
    records = [record(1), record(2, "WorkerLost"), record(4, round_=1), record(3), record(5, "WorkerLost", 1)]
    first, second = tally(records[:2], 0), tally(records, 0)
    assert (first.round, first.failed, first.lost) == (0, 1, 1)
    assert (second.round, second.failed, second.lost) == (1, 1, 1)
    assert second.last.number == 5
    assert tally(records, 7).failed == 0


def test_running_and_committed_attempts_are_no_failures():
    found = tally([record(1, state=AttemptState.RUNNING), record(2, state=AttemptState.COMMITTED)], 0)
    assert (found.failed, found.lost, found.last) == (0, 0, None)
    assert not given_up(found, LIMITS)


@pytest.mark.parametrize(("failed", "lost", "final"), [(2, 0, False), (3, 0, True), (2, 9, False), (0, 10, True)])
def test_tries_and_lost_workers_are_capped(failed, lost, final):
    records = [record(n) for n in range(failed)] + [record(100 + n, "WorkerLost") for n in range(lost)]
    assert given_up(tally(records, 0), LIMITS) is final


@pytest.mark.parametrize(("error", "final"), [("BadInput", True), ("Retryable", False), ("FromALaterRelease", True)])
def test_the_class_of_the_last_failure_decides(error, final):
    assert given_up(tally([record(1), record(2, error)], 0), LIMITS) is final
    assert not given_up(tally([record(1, error), record(2)], 0), LIMITS)


def test_a_task_may_bring_its_own_number_of_tries():
    assert given_up(tally([record(1)], 0), LIMITS, tries=1)


@pytest.mark.parametrize(("failed", "least"), [(1, 30), (2, 120), (3, 480), (4, 1800), (9, 1800)])
def test_back_off_grows_fourfold_to_half_an_hour(failed, least):
    waits = {backoff_s(failed, ProtocolLimits()) for _ in range(50)}
    assert min(waits) >= least
    assert max(waits) <= 1.1 * least
    assert len(waits) > 10
