"""The keeper of one shard: knows what is on the volumes, answers the engine, cleans up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from sqlalchemy import select

from contimg import crash
from contimg.errors import Damaged, Unavailable
from contimg.keeper.cleanup import CleanReport, clean_attempts, clean_failed, clean_runs, note_wanted
from contimg.keeper.facts import Memory, try_fact, window
from contimg.keeper.index import Index
from contimg.keeper.published import is_current, keep_plan, plan_path, put_plan, put_registry
from contimg.keeper.queries import Queries
from contimg.keeper.records import read_record, stamp, write_record
from contimg.keeper.reference import Reference
from contimg.keeper.rows import put_attempt, put_group, put_manifest, run_fact, table_fact
from contimg.keeper.scan import ScanReport, check_products, scan, scan_ingest
from contimg.keeper.tables import publications, runs
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts, GroupRecord, IngestFact, TryFact, UnsealedFact
from contimg.models.manifest import AttemptRecord, AttemptState, Manifest
from contimg.models.observation import ObservationRecord
from contimg.volume.attempt import MANIFEST
from contimg.volume.files import make_directory
from contimg.volume.layout import Layout

__all__ = ["Keeper", "holder"]


class IngestReport(Protocol):
    """What a scan of ``incoming/`` reports (``contimg_ingest.scan.ScanReport``)."""

    scanned_at: datetime
    unsealed: list[UnsealedFact]


def holder(layout: Layout) -> str:
    """Return who holds the keeper's lock, as written by itself; empty when nobody does."""
    path = layout.state / "keeper.lock"
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return ""
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        return path.read_text().strip() or "another process"


class Keeper:
    """Knows what is on the volumes of one shard. Only one lives at a time; threads may share it.

    Parameters
    ----------
    layout
        The directories.
    limits
        Times of the protocol; None: those of the architecture.

    Raises
    ------
    Unavailable
        If another keeper holds the lock (its process is named).
    BadConfig
        If a database cannot be one: a directory, another kind of file, a network file system.
    """

    def __init__(self, layout: Layout, limits: ProtocolLimits | None = None) -> None:
        self.layout = layout
        self.limits = limits or ProtocolLimits()
        make_directory(layout.state, "the state directory, CONTIMG_STATE_DIR")
        with contextlib.ExitStack() as undo:
            self._lock_file = undo.enter_context(_take_lock(layout))
            self.index = Index.open(layout)
            undo.pop_all()
        self.queries = Queries(self.index)
        self._reference = Reference(layout)
        self._memory = Memory()
        self._lock = threading.RLock()
        self._wanted_at: datetime | None = None
        self.report = self.scan()

    def close(self) -> None:
        """Close the databases and give the lock back."""
        self.index.close()
        self._lock_file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def scan(self) -> ScanReport:
        """Bring the indexes up to date with the disk; cheap when little changed."""
        with self._lock:
            self.report = scan(self.layout, self.index, datetime.now(UTC))
            self._memory.load(self.index)
            return self.report

    def register_run(self, task: str, home: str) -> Manifest:
        """Take note of a committed run: copy its manifest to the state directory, index it.

        Raises
        ------
        Damaged
            If the run is not there, or is not what its manifest says.
        """
        run = self.layout.run(home, task)
        manifest = read_record(run / MANIFEST, Manifest)
        if manifest.task != task:
            raise Damaged(f"{run / MANIFEST} is of task {manifest.task}; move {run} away, the task is then done again")
        check_products(run, manifest)
        copy = self.layout.manifests / f"{task}.json"
        content = (run / MANIFEST).read_text()
        with self._lock:
            crash.point("keeper.register.copy")
            if not copy.is_file() or copy.read_text() != content:
                write_record(copy, content)
            crash.point("keeper.register.index")
            mark = f"{stamp(copy)} {stamp(run / MANIFEST)}"
            now = datetime.now(UTC)
            put_manifest(self.index, manifest, home, present=True, stamp=mark, now=now)
            note_wanted(self.index, [task], now)
            put_registry(self.index, self.layout, manifest, home, present=True)
            self._memory.runs[task] = run_fact(manifest, home, present=True)
            table = table_fact(manifest, present=True)
            if table is not None:
                self._memory.tables[task] = table
            self._read_attempts(task)
            crash.point("keeper.register.done")
        return manifest

    def register_attempt(self, task: str, number: int) -> AttemptRecord:
        """Take note of an attempt's record in ``state/attempts/``.

        Raises
        ------
        Damaged
            If the record is missing or cannot be read.
        """
        path = self.layout.attempts / task / f"{number}.json"
        record = read_record(path, AttemptRecord)
        with self._lock:
            put_attempt(self.index, record, stamp(path))
            self._memory.attempts.setdefault(task, {})[number] = record
        return record

    def _read_attempts(self, task: str) -> None:
        """Take note of the records of a task that are new or changed; a damaged one is left to the scan."""
        known = self._memory.attempts.setdefault(task, {})
        for path in (self.layout.attempts / task).glob("[0-9]*.json"):
            with contextlib.suppress(Damaged):
                record = read_record(path, AttemptRecord)
                if known.get(record.number) != record:
                    put_attempt(self.index, record, stamp(path))
                    known[record.number] = record

    def _look_at_attempts(self) -> None:
        """Take note of attempts that began: workers register them when they end, but their directories show them."""
        for path in self.layout.active("").glob("*/*-[0-9]*"):
            task, _, number = path.name.rpartition("-")
            if number.isdecimal() and int(number) not in self._memory.attempts.get(task, {}):
                self._read_attempts(task)

    def register_group(self, record: GroupRecord) -> None:
        """Write ``state/groups/<group>.json``: the wish was met by this publish run.

        It may be registered before that run is (P6: effects come first).
        """
        path = self.layout.groups / f"{record.group}.json"
        with self._lock:
            plan = keep_plan(self.layout, record.task)
            if plan is not None:
                put_plan(self.index, record.task, plan, stamp(plan_path(self.layout, record.task)))
            crash.point("keeper.group.write")
            write_record(path, record.model_dump_json(indent=1))
            crash.point("keeper.group.index")
            self._refresh_registry(record)
            put_group(self.index, record, stamp(path))
            self._memory.groups[record.group] = record
            crash.point("keeper.group.done")

    def register_observation(self, record: ObservationRecord) -> None:
        """Write ``state/observations/<date>/<id>.json`` and index it (ingest may also write the file itself)."""
        path = self.layout.observations / record.id[:10] / f"{record.id}.json"
        with self._lock:
            write_record(path, record.model_dump_json(indent=1))
            self._scan_ingest()

    def refresh_ingest(self, report: IngestFact | IngestReport | None = None) -> None:
        """Read new observation and quarantine records; note where ingest stands if it says so."""
        with self._lock:
            self._scan_ingest()
            if isinstance(report, IngestFact):
                self._memory.ingest = report
            elif report is not None:
                self._memory.ingest = IngestFact(scanned=report.scanned_at, unsealed=tuple(report.unsealed))

    def _scan_ingest(self) -> None:
        scan_ingest(self.layout, self.index, self.report)
        self._memory.load_observations(self.index)

    def _refresh_registry(self, record: GroupRecord) -> None:
        """Bring ``data_registry`` up to date for what the group publishes now and published before."""
        ours = select(publications.c.task).where(publications.c.group_id == record.group).distinct()
        tasks = sorted(row["task"] for row in self.index.rows("data_registry", ours))
        chosen = select(runs.c.manifest).where(runs.c.task.in_(tasks))
        for row in self.index.rows("products", chosen):
            manifest = Manifest.model_validate_json(row["manifest"])
            fact = self._memory.runs[manifest.task]
            put_registry(self.index, self.layout, manifest, fact.home, present=fact.present)

    def facts(
        self,
        tasks: Iterable[str] | None = None,
        groups: Iterable[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Facts:
        """Return what the engine decides on.

        Parameters
        ----------
        tasks
            Ids of the runs and tries wanted; None: all.
        groups
            Names of the group records wanted; None: all.
        start, end
            Window of observation starts, [start, end) and the first one after; None: open.
        """
        with self._lock:
            memory = self._memory
            self._look_at_attempts()
            begin, until = (None if t is None else t.timestamp() for t in (start, end))
            wanted = set(memory.runs) | set(memory.attempts) if tasks is None else set(tasks)
            names = memory.groups if groups is None else [g for g in groups if g in memory.groups]
            return Facts(
                observations=window(memory.observations.values(), begin, until),
                runs={task: memory.runs[task] for task in wanted if task in memory.runs},
                tries={task: self._try(task) for task in wanted if memory.attempts.get(task)},
                tables=tuple(sorted(memory.tables.values(), key=lambda t: (t.transit, t.task))),
                groups={name: self._judged(memory.groups[name]) for name in names},
                ingest=memory.ingest,
                reference=self._reference.checksums(),
            )

    def wanted(self, tasks: Iterable[str], now: datetime | None = None) -> None:
        """Note which tasks the unfinished groups want; runs are deleted only while this is said again and again."""
        with self._lock:
            self._wanted_at = now or datetime.now(UTC)
            note_wanted(self.index, tasks, self._wanted_at)

    def clean(self, now: datetime | None = None) -> CleanReport:
        """Remove from staging what is unwanted and old (P12).

        Parameters
        ----------
        now
            The time to judge by; None: the wall clock.
        """
        moment = now or datetime.now(UTC)
        report = CleanReport()
        with self._lock:
            if self._wanted_at is not None:
                report.released = clean_runs(self.layout, self.index, self.limits, self._wanted_at, moment)
            if report.released:
                self._memory.load(self.index)
            report.logs = clean_failed(self.layout, self.limits, moment)
            report.attempts = clean_attempts(self.layout, self.limits, moment)
        return report

    def _try(self, task: str) -> TryFact:
        fact = try_fact(self.layout, self._memory.attempts[task].values(), self.limits)
        if fact.last is not None and fact.last.state is AttemptState.RUNNING and not fact.running:
            self._read_attempts(task)  # it ended, and its worker could not say so
            fact = try_fact(self.layout, self._memory.attempts[task].values(), self.limits)
        return fact

    def _judged(self, record: GroupRecord) -> GroupRecord:
        """Return a group record with ``current`` as the archive shows it now."""
        return record.model_copy(update={"current": is_current(self.index, self.layout, record)})


def _take_lock(layout: Layout) -> IO[str]:
    path: Path = layout.state / "keeper.lock"
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        who = handle.read().strip() or "another process"
        handle.close()
        raise Unavailable(
            f"{path} is held by {who}: one keeper serves a state directory; end that run first or wait for it"
        ) from None
    handle.truncate(0)
    handle.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
    handle.flush()
    return handle
