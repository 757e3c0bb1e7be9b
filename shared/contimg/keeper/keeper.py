"""The keeper of one shard: knows what is on the volumes, answers the engine, cleans up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from contimg.errors import Damaged
from contimg.keeper.cleanup import (
    CleanReport,
    clean_attempts,
    clean_failed,
    clean_runs,
    empty_trash,
    note_wanted,
)
from contimg.keeper.documents import Document, put_groups, put_plans, put_runs
from contimg.keeper.facts import Answers, collect
from contimg.keeper.index import Index
from contimg.keeper.inputs import load_inputs, store_inputs
from contimg.keeper.lock import take_lock
from contimg.keeper.published import keep_plan
from contimg.keeper.queries import Queries
from contimg.keeper.records import parse, read_record, read_text, stamp
from contimg.keeper.reference import ReferenceData
from contimg.keeper.sources import ScanReport, forget, read_attempts, scan, scan_attempts
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts, GroupRecord, Needs
from contimg.models.manifest import AttemptRecord, Manifest
from contimg.models.survey import FileSetRules
from contimg.volume import disk
from contimg.volume.attempt import MANIFEST
from contimg.volume.layout import Layout
from contimg.volume.soundness import check_products

__all__ = ["Keeper"]


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
        disk.check_writable(layout.state, "the state directory, CONTIMG_STATE_DIR")
        with contextlib.ExitStack() as undo:
            self._lock_file = undo.enter_context(take_lock(layout))
            self.index = Index.open(layout)
            undo.callback(self.index.close)
            self.queries = Queries(self.index, layout)
            self._answers = Answers(layout, self.index, self.limits, ReferenceData(layout))
            self._wanted_at: datetime | None = None
            forget(self.index)
            self.report = self.scan()
            if "products" in self.index.rebuilt:
                self.report.read += scan_attempts(layout, self.index)
            undo.pop_all()

    def close(self) -> None:
        """Close the databases and give the lock back."""
        self.index.close()
        self._lock_file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def scan(self) -> ScanReport:
        """Bring the databases up to date with what changed on disk."""
        return scan(self.layout, self.index)

    # -- what workers say -------------------------------------------------------------------------------------------

    def register_run(self, task: str, home: str) -> Manifest:
        """Take note of a committed run: copy its manifest to the state directory, index it.

        Raises
        ------
        Damaged
            If the run is not there, or is not what its manifest says.
        """
        path = self.layout.run(home, task) / MANIFEST
        content, seen = read_text(path), stamp(path)
        manifest = parse(path, content, Manifest)
        if manifest.task != task:
            raise Damaged(f"{path} is of task {manifest.task}; move its directory away, the task is then done again")
        check_products(path.parent, manifest)
        copy = self.layout.manifests / manifest.date / f"{task}.json"
        if not copy.is_file() or read_text(copy) != content:
            disk.write(copy, content)
        document = Document(task, manifest.date, stamp(copy), content, manifest)
        put_runs(self.index, self.layout, [document], seen)
        note_wanted(self.index, [task], datetime.now(UTC))
        list(read_attempts(self.layout, self.index, [task]))
        return manifest

    def register_attempt(self, task: str, number: int) -> AttemptRecord:
        """Take note of an attempt's record in ``state/attempts/``.

        Raises
        ------
        Damaged
            If the record is missing or cannot be read.
        """
        record = read_record(self.layout.attempts / task / f"{number}.json", AttemptRecord)
        list(read_attempts(self.layout, self.index, [task]))
        return record

    def register_group(self, record: GroupRecord) -> None:
        """Write ``state/groups/<group>.json``: the wish was met by this run.

        It may be registered before that run is (P6: effects come first).
        """
        plan, copy = keep_plan(self.layout, record.task), self.layout.plan(record.task)
        if plan is not None:
            put_plans(self.index, self.layout, [Document(record.task, "", stamp(copy), plan.model_dump_json(), plan)])
        path, content = self.layout.groups / f"{record.group}.json", record.model_dump_json(indent=1)
        disk.write(path, content)
        put_groups(self.index, self.layout, [Document(record.group, "", stamp(path), content, record)])

    # -- what the host of the engine asks and says ------------------------------------------------------------------

    def page(self, needs: Needs) -> Facts:
        """Return one page of the facts of a group; ``more`` names the next one, for ``needs.after``."""
        return self._answers.page(needs)

    def facts(self, needs: Needs) -> Facts:
        """Return the facts of a group: all pages as one."""
        return collect(self.page, needs)

    def survey(self, start: datetime | None, after: str = "") -> Facts:
        """Return a page of the recordings that start at or after ``start``, and where ingest stands.

        The records lack their files, figures and next transits. ``more`` is the ``after`` of the next page.
        """
        return self._answers.survey(start, after)

    def rules(self, rules: Mapping[str, FileSetRules]) -> None:
        """Tell ingest by ``state/ingest-rules.json`` when file sets of each instrument are complete."""
        plain = {name: rules[name].model_dump(mode="json", by_alias=True) for name in sorted(rules)}
        content = json.dumps(plain, indent=1)
        path = self.layout.ingest_rules
        if not path.is_file() or read_text(path) != content:
            disk.write(path, content)

    def put_inputs(self, inputs: Mapping[str, Sequence[str]]) -> str:
        """Keep inputs of a task and return the digest under which :meth:`inputs` gives them back."""
        return store_inputs(self.layout, inputs)

    def inputs(self, digest: str) -> dict[str, tuple[str, ...]]:
        """Return inputs that were kept."""
        return {home: tuple(tasks) for home, tasks in load_inputs(self.layout, digest).items()}

    def wanted(self, tasks: Iterable[str], now: datetime | None = None) -> None:
        """Note which tasks the unfinished groups want; runs are deleted only while this is said again and again."""
        moment = now or datetime.now(UTC)
        note_wanted(self.index, tasks, moment)
        self._wanted_at = moment

    # -- clean-up ---------------------------------------------------------------------------------------------------

    def clean(self, now: datetime | None = None) -> CleanReport:
        """Remove from staging what is unwanted and old (P12).

        Parameters
        ----------
        now
            The time to judge by; None: the wall clock.
        """
        moment = now or datetime.now(UTC)
        report = CleanReport()
        empty_trash(self.layout, self.index)
        if self._wanted_at is not None and moment - self._wanted_at < timedelta(seconds=self.limits.wanted_fresh_s):
            report.released = list(clean_runs(self.layout, self.index, self.limits, moment))
        report.logs = clean_failed(self.layout, self.limits, moment)
        report.attempts = clean_attempts(self.layout, self.limits, moment)
        return report
