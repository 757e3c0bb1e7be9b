"""What is left of a failed attempt (architecture.md, P7): a record, an error log, a few small files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contimg.errors import ContimgError
from contimg.limits import MIB
from contimg.models.attempts import Tally
from contimg.models.manifest import AttemptRecord, AttemptState, Usage
from contimg.models.task import Task
from contimg.volume import disk
from contimg.volume.attempt import ATTEMPT, LOG, Attempt, close_record
from contimg.volume.layout import Layout

__all__ = ["Failure", "close_failed"]

_KEPT_SUFFIXES = {".json", ".log", ".png", ".txt"}
_KEPT_BYTES = MIB


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed."""

    error: str
    """Class name in :mod:`contimg.errors`."""
    message: str
    counted: bool = True
    """Whether it uses up a try."""

    @classmethod
    def of(cls, error: ContimgError) -> Failure:
        """Return the failure that one of our errors stands for."""
        name = type(error).__name__
        return cls(name, str(error), counted=name != "WorkerLost")

    @classmethod
    def unforeseen(cls, message: str, before: Tally) -> Failure:
        """Return the failure of a crash or of an error that nobody foresaw: one more try, then it is final."""
        return cls("Terminal" if before.failed else "Retryable", message)


def close_failed(layout: Layout, attempt: Attempt, task: Task, failure: Failure, usage: Usage) -> AttemptRecord:
    """Write the record and the error log of a failed attempt, keep its small files, remove its directory."""
    record = attempt.record.model_copy(
        update={
            "state": AttemptState.FAILED,
            "error": failure.error,
            "message": failure.message,
            "counted": failure.counted,
            "finished": datetime.now(UTC),
            "usage": usage,
        }
    )
    closed = close_record(layout, record)
    directory = layout.failed / task.date
    _keep_files(attempt.path, directory / attempt.job)
    disk.write(directory / f"{attempt.job}_error.log", _error_log(closed, attempt.path / LOG))
    attempt.release()
    disk.remove(attempt.path)
    return closed


def _error_log(record: AttemptRecord, log: Path) -> str:
    head = f"{record.error}: {record.message}\n\n{record.model_dump_json(indent=1)}\n"
    if not log.exists():
        return head
    return f"{head}\n--- log of the attempt ---\n{log.read_text(errors='replace')}"


def _keep_files(workdir: Path, kept: Path) -> None:
    """Copy small top-level files; the log has its own place."""
    if not workdir.is_dir():
        return
    for path in sorted(workdir.iterdir()):
        small = path.is_file() and not path.is_symlink() and path.stat().st_size <= _KEPT_BYTES
        if small and path.suffix in _KEPT_SUFFIXES and path.name not in {ATTEMPT, LOG}:
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, kept / path.name)
