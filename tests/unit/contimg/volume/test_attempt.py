from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from toy_stages import toy_task

from contimg.models.manifest import AttemptState
from contimg.volume.attempt import (
    TaskLock,
    _try_number,
    close_record,
    find_directories,
    has_live_holder,
    is_abandoned,
    note_wait,
    open_attempt,
    read_records,
    settle,
)

TASK = toy_task()


def opened(layout, round_=0):
    return open_attempt(layout, "toying", TASK, round_)


def run_of(layout):
    return layout.run("image", TASK.task)


def test_the_lock_is_exclusive_between_processes_and_is_left_to_no_child(layout):
    lock = TaskLock.take(layout, TASK.task)
    assert lock.held
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "close_fds": False}
    child = subprocess.Popen([sys.executable, "-c", "print('up', flush=True); input()"], **pipes)
    assert child.stdout.readline() == b"up\n"
    assert not TaskLock.take(layout, TASK.task).held
    lock.release()
    assert TaskLock.take(layout, TASK.task).held  # although the child lives
    child.communicate(b"\n")
    assert lock.path.exists()


def test_the_age_of_a_lock_is_since_its_last_touch(layout):
    lock = TaskLock.take(layout, TASK.task)
    assert lock.age_s == float("inf")
    os.utime(lock.path, (0, time.time() - 300))
    assert TaskLock.take(layout, TASK.task).age_s == pytest.approx(300, abs=5)
    lock.touch()
    assert TaskLock.take(layout, TASK.task).age_s < 5


def test_numbers_rise_and_are_never_used_again(layout):
    first, second = opened(layout), opened(layout)
    assert (first.record.number, second.record.number) == (1, 2)
    second.release()
    settle(layout, TASK.task, run_of(layout))
    assert not second.path.exists()
    assert opened(layout).record.number == 3
    assert first.path.exists()


def test_a_number_whose_record_exists_is_passed_by(layout):
    (layout.attempts / TASK.task).mkdir(parents=True)
    record = opened(layout).record
    close_record(layout, record.model_copy(update={"number": 2, "state": AttemptState.FAILED}))
    assert opened(layout).record.number == 3


def test_a_lost_worker_is_recorded_once_and_a_live_one_left_alone(layout):
    lost, alive = opened(layout), opened(layout)
    lost.release()
    (closed,) = settle(layout, TASK.task, run_of(layout))
    assert (closed.number, closed.error, closed.counted, closed.state) == (1, "WorkerLost", False, "failed")
    assert f"process {os.getpid()}" in closed.message
    assert closed.finished is not None
    assert settle(layout, TASK.task, run_of(layout)) == []
    assert list(find_directories(layout, TASK.task)) == [2]
    assert has_live_holder(alive.path)


def test_a_directory_without_a_record_is_left_to_the_clean_up(layout):
    path = layout.active("toying") / f"{TASK.task}-5"
    path.mkdir(parents=True)
    assert settle(layout, TASK.task, run_of(layout)) == []
    assert is_abandoned(path, 0, time.time())
    assert opened(layout).record.number == 6


def test_a_directory_that_became_somebody_else_s_is_left_alone(layout, monkeypatch):
    theirs = opened(layout)
    monkeypatch.setattr("pathlib.Path.mkdir", lambda *_, **__: None)  # we made it once, long ago
    assert _try_number(layout, layout.active("toying"), TASK, 1, 0) is None
    assert theirs.path.exists()


def test_copies_of_lost_attempts_are_swept_and_those_of_live_ones_kept(layout):
    alive = opened(layout)
    runs = layout.runs("image")
    for number in (1, 2):
        (runs / f".tmp-{TASK.task}-{number}").mkdir(parents=True)
    settle(layout, TASK.task, run_of(layout))
    assert [path.name for path in runs.iterdir()] == [f".tmp-{alive.job}"]


def test_abandoned_is_free_and_old(layout):
    attempt = opened(layout)
    for path in [*attempt.path.iterdir(), attempt.path]:
        os.utime(path, (0, 0))
    now = time.time()
    assert not is_abandoned(attempt.path, 3600, now)
    attempt.release()
    assert is_abandoned(attempt.path, 3600, now)
    os.utime(attempt.path, (now, now))
    assert not is_abandoned(attempt.path, 3600, now)
    assert not is_abandoned(attempt.path / "none", 0, now)
    assert not is_abandoned(attempt.path / "attempt.json", 0, now)


def test_a_directory_that_vanishes_while_it_is_looked_at_is_not_abandoned(layout, monkeypatch):
    attempt = opened(layout)
    attempt.release()
    gone = [attempt.path / "temporary of the stage"]
    monkeypatch.setattr("pathlib.Path.iterdir", lambda _: iter(gone))
    assert not is_abandoned(attempt.path, 0, time.time())


def test_unreadable_records_are_left_out(layout):
    opened(layout)
    (layout.attempts / TASK.task / "2.json").write_text("{")
    assert [record.number for record in read_records(layout, TASK.task)] == [1]
    assert opened(layout).record.number == 3


def test_a_wait_is_written_down_until_an_attempt_opens(layout):
    note_wait(layout, TASK.task, "WaitingForSpace: 7 bytes are missing")
    assert json.loads(layout.wait(TASK.task).read_bytes())["sentence"] == "WaitingForSpace: 7 bytes are missing"
    assert read_records(layout, TASK.task) == []
    assert opened(layout).record.number == 1
    assert not layout.wait(TASK.task).exists()
