from __future__ import annotations

from toy_stages import toy_task

from contimg.errors import DataQuality, ResourceExhausted, WorkerLost
from contimg.limits import MIB, ProtocolLimits
from contimg.models.attempts import Tally
from contimg.models.manifest import Usage
from contimg.volume.attempt import open_attempt, read_records
from contimg.volume.failure import Failure, close_failed

LIMITS = ProtocolLimits()
TASK = toy_task()


def test_what_counts_as_a_try():
    assert Failure.of(ResourceExhausted("7 bytes")) == Failure("ResourceExhausted", "7 bytes", counted=True)
    assert not Failure.of(WorkerLost("gone")).counted
    assert Failure.of(DataQuality("bad")).counted
    assert Failure.unforeseen("SIGSEGV", Tally(0)).error == "Retryable"
    assert Failure.unforeseen("SIGSEGV", Tally(0, failed=1)).error == "Terminal"


def test_small_files_are_kept_and_the_directory_goes(layout):
    attempt = open_attempt(layout, "toying", TASK, 0)
    (attempt.path / "log.txt").write_text("what it said")
    (attempt.path / "casa.log").write_text("noise")
    (attempt.path / "huge.json").write_bytes(b" " * (MIB + 1))
    (attempt.path / "data.fits").write_text("big in real life")
    (attempt.path / "tree.json").mkdir()
    closed = close_failed(layout, attempt, TASK, Failure("Retryable", "why"), Usage(cpu_s=2.0))
    assert (closed.message, closed.usage.cpu_s, closed.finished is None) == ("why", 2.0, False)
    assert read_records(layout, TASK.task) == [closed]
    directory = layout.failed / TASK.date
    assert (directory / f"{attempt.job}_error.log").read_text().endswith("what it said")
    assert [path.name for path in (directory / attempt.job).iterdir()] == ["casa.log"]
    assert not attempt.path.exists()


def test_a_directory_that_is_gone_is_no_obstacle(layout):
    attempt = open_attempt(layout, "toying", TASK, 0)
    for path in attempt.path.iterdir():
        path.unlink()
    attempt.path.rmdir()
    close_failed(layout, attempt, TASK, Failure("Retryable", "why"), Usage())
    assert (layout.failed / TASK.date / f"{attempt.job}_error.log").exists()
