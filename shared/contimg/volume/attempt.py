"""One try at a task (architecture.md, P3): the lock of the task, the directory, its own lock, its record.

Records in ``state/attempts/<task>/<number>.json`` are the truth about tries; they are opened when an attempt starts
and closed when it ends. A record that is still open without a live holder belonged to a worker that was lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from contimg import crash
from contimg.models.manifest import AttemptRecord, AttemptState, Manifest
from contimg.models.task import Task
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = [
    "ATTEMPT", "LOG", "MANIFEST", "Attempt", "TaskLock", "close_record", "find_directories", "has_live_holder",
    "is_abandoned", "new_record", "note_wait", "open_attempt", "read_records", "settle",
]  # fmt: skip

ATTEMPT, LOG, MANIFEST, _OWN_LOCK = "attempt.json", "log.txt", "manifest.json", ".lock"


def _flock(path: Path) -> int | None:
    """Take the exclusive lock of a file (close-on-exec, as all of Python's descriptors); None if it is held."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


class TaskLock:
    """``.locks/<task>``: held by the worker of a task, touched while it lives, never deleted."""

    def __init__(self, path: Path, handle: int | None, age_s: float) -> None:
        self.path = path
        self.age_s = age_s
        """Seconds since it was touched last, before we took it."""
        self._handle = handle

    @classmethod
    def take(cls, layout: Layout, task: str) -> Self:
        """Try to take the lock; see :attr:`held`."""
        layout.locks.mkdir(parents=True, exist_ok=True)
        path = layout.locks / task
        age = time.time() - path.stat().st_mtime if path.exists() else float("inf")
        handle = _flock(path)
        crash.point("attempt.locked")
        return cls(path, handle, age)

    @property
    def held(self) -> bool:
        """False: somebody else holds it."""
        return self._handle is not None

    def touch(self) -> None:
        """Show that the worker of this task is alive; also done when a frozen holder keeps the lock."""
        os.utime(self.path)

    def release(self) -> None:
        """Let it go; twice is harmless."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@dataclass
class Attempt:
    """An open attempt of this process; its own lock is held until :meth:`release`."""

    path: Path
    """``workspace/active/<workspace>/<task>-<number>``; becomes the run by one rename."""
    record: AttemptRecord
    _handle: int

    @property
    def job(self) -> str:
        """``<task>-<number>``, the name of the directory and of the error log."""
        return f"{self.record.task}-{self.record.number}"

    def release(self) -> None:
        """Let the own lock go; twice is harmless."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _numbers(names: Iterable[str]) -> list[int]:
    return [int(name) for name in names if name.isdigit()]


def find_directories(layout: Layout, task: str) -> dict[int, Path]:
    """Return the attempt directories of a task by number."""
    found = layout.active("").glob(f"*/{task}-*")
    return {int(path.name.rpartition("-")[2]): path for path in found if path.name.rpartition("-")[2].isdigit()}


def open_attempt(layout: Layout, workspace: str, task: Task, round_: int) -> Attempt:
    """Make the directory, lock and record of the next attempt at a task.

    The number is taken by an exclusive mkdir and confirmed by the exclusive creation of the record, so that
    it is never used twice, not even after its directory is gone.
    """
    parent = layout.active(workspace)
    parent.mkdir(parents=True, exist_ok=True)
    (layout.attempts / task.task).mkdir(parents=True, exist_ok=True)
    used = [*find_directories(layout, task.task), *_numbers(p.stem for p in (layout.attempts / task.task).iterdir())]
    number = max(used, default=0) + 1
    while True:
        attempt = _try_number(layout, parent, task, number, round_)
        if attempt is not None:
            return attempt
        number += 1


def _try_number(layout: Layout, parent: Path, task: Task, number: int, round_: int) -> Attempt | None:
    path = parent / f"{task.task}-{number}"
    try:
        path.mkdir()
    except FileExistsError:
        return None
    crash.point("attempt.made")
    handle = _flock(path / _OWN_LOCK)
    crash.point("attempt.own-locked")
    record = new_record(task, number, round_)
    if handle is None:
        return None  # we stood still so long that the directory was swept and made anew; it is somebody else's
    if _create_record(layout, path, record):
        return Attempt(path, record, handle)
    os.close(handle)
    disk.remove(path)
    return None


def new_record(task: Task, number: int = 1, round_: int = 0) -> AttemptRecord:
    """Return the record of an attempt that begins now, in this process."""
    return AttemptRecord(
        task=task.task,
        number=number,
        round=round_,
        stage=task.stage,
        unit=task.unit,
        group=task.group,
        state=AttemptState.RUNNING,
        host=socket.gethostname(),
        pid=os.getpid(),
        started=datetime.now(UTC),
    )


def _create_record(layout: Layout, path: Path, record: AttemptRecord) -> bool:
    disk.write(path / ATTEMPT, record.model_dump_json())
    if not disk.create(_record_path(layout, record.task, record.number), record.model_dump_json()):
        return False
    layout.wait(record.task).unlink(missing_ok=True)
    return True


def note_wait(layout: Layout, task: str, sentence: str) -> None:
    """Write down why no attempt of a task can begin now; opening one takes it back."""
    now = datetime.now(UTC).isoformat()
    disk.write(layout.wait(task), json.dumps({"since": now, "sentence": sentence}))


def _record_path(layout: Layout, task: str, number: int) -> Path:
    return layout.attempts / task / f"{number}.json"


def close_record(layout: Layout, record: AttemptRecord) -> AttemptRecord:
    """Write the end of an attempt to ``state/attempts/``; ``finished`` is now unless it is set."""
    closed = record.model_copy(update={"finished": record.finished or datetime.now(UTC)})
    disk.write(_record_path(layout, closed.task, closed.number), closed.model_dump_json())
    return closed


def read_records(layout: Layout, task: str) -> list[AttemptRecord]:
    """Return the records of a task in the order of their numbers; an unreadable one is left out."""
    directory = layout.attempts / task
    if not directory.is_dir():
        return []
    found = []
    for number in sorted(_numbers(path.stem for path in directory.iterdir())):
        with contextlib.suppress(ValueError, FileNotFoundError):
            found.append(AttemptRecord.model_validate_json(_record_path(layout, task, number).read_text()))
    return found


def has_live_holder(path: Path) -> bool:
    """Whether a process holds the own lock of an attempt directory; True if that cannot be known."""
    try:
        handle = os.open(path / _OWN_LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def is_abandoned(path: Path, after_s: float, now_s: float) -> bool:
    """Whether nobody works in an attempt directory and nothing was done to it for ``after_s`` (P12).

    ``now_s`` is in seconds since 1970.
    """
    try:
        if has_live_holder(path):
            return False
        newest = max([path.stat().st_mtime, *(item.lstat().st_mtime for item in path.iterdir())])
    except (FileNotFoundError, NotADirectoryError):  # it became a run meanwhile, or its worker removes it
        return False
    return now_s - newest >= after_s


def settle(layout: Layout, task: str, run: Path) -> list[AttemptRecord]:
    """Close what lost workers left open, and remove their directories.

    Called by the holder of the task's lock, or in place of a frozen one. An open record becomes ``committed``
    when the run says that this attempt made it, else failed ``WorkerLost``, which uses up no try. A directory
    without a record may belong to a worker that is just making it: it is left to the clean-up (P12).

    Returns
    -------
    list of AttemptRecord
        The records that were closed, to be registered.
    """
    committed = _committed_number(run)
    directories = find_directories(layout, task)
    closed = []
    for record in read_records(layout, task):
        path = directories.get(record.number)
        if record.state is AttemptState.RUNNING and not (path and has_live_holder(path)):
            closed.append(_settled(layout, record, is_committed=record.number == committed))
        if path is not None and not has_live_holder(path):
            disk.remove(path)
    for copy in run.parent.glob(f".tmp-{task}-*"):
        maker = directories.get(int(copy.name.rpartition("-")[2]))
        if maker is None or not maker.exists():
            disk.remove(copy)
    return closed


def _committed_number(run: Path) -> int:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return Manifest.model_validate_json((run / MANIFEST).read_text()).attempt
    return 0


def _settled(layout: Layout, record: AttemptRecord, *, is_committed: bool) -> AttemptRecord:
    if is_committed:
        return close_record(layout, record.model_copy(update={"state": AttemptState.COMMITTED}))
    message = f"the worker {record.host} (process {record.pid}) was lost while it worked on this attempt"
    lost = {"state": AttemptState.FAILED, "error": "WorkerLost", "message": message, "counted": False}
    return close_record(layout, record.model_copy(update=lost))
