"""Facts of one group, looked up when they are asked for, in pages; nothing is remembered between two questions."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from contimg.errors import Damaged
from contimg.keeper.documents import run_homes, run_path, text
from contimg.keeper.index import Index, Row
from contimg.keeper.published import group_record
from contimg.keeper.records import parse, read_record, read_text, stamp
from contimg.keeper.reference import ReferenceData
from contimg.keeper.sources import OBSERVATIONS, QUARANTINE, ScanReport, read_attempts, sync
from contimg.limits import ProtocolLimits
from contimg.models.attempts import given_up, tally
from contimg.models.base import Model, date_of
from contimg.models.fact import Facts, IngestFact, Needs, Offer, RunFact, TryFact
from contimg.models.manifest import AttemptRecord, AttemptState, Manifest
from contimg.models.observation import ObservationRecord, Role
from contimg.models.quality import Verdict
from contimg.volume.attempt import MANIFEST
from contimg.volume.layout import Layout
from contimg.volume.soundness import check_products

__all__ = ["TASKS_AT_ONCE", "Answers", "collect", "lock_is_live", "questions", "try_fact"]

TASKS_AT_ONCE = 10_000
"""Task ids in one question: 35 bytes each, a third of what the message server takes."""
CHUNK = 200
"""Keys in one query."""
SHARE = 0.5
"""Of a page of the bus that a page of facts fills: sizes are those of JSON before it is wrapped."""
Piece = tuple[str, int, tuple[Model, ...]]
"""Cursor after which the next page goes on, the bytes of what stands there, and that."""
LAST_DATE = "~"
"""After every date."""
SLIM = {"files": (), "next_transits": (), "figures": ()}
"""What nobody who forms groups looks at."""


def questions(needs: Needs) -> Iterator[Needs]:
    """Split a question with more tasks than a message takes."""
    yield needs.model_copy(update={"tasks": needs.tasks[:TASKS_AT_ONCE]})
    for start in range(TASKS_AT_ONCE, len(needs.tasks), TASKS_AT_ONCE):
        yield Needs(group=needs.group, tasks=needs.tasks[start : start + TASKS_AT_ONCE])


def collect(page: Callable[[Needs], Facts], needs: Needs) -> Facts:
    """Ask for page after page and return all as one."""
    found = Facts()
    for question in questions(needs):
        answer = page(question)
        found = found.merged(answer)
        while answer.more:
            answer = page(question.model_copy(update={"after": answer.more}))
            found = found.merged(answer)
    return found


@dataclass(frozen=True)
class Answers:
    """What answers questions about facts: directories, databases, limits.

    Over databases that are open to read only, nothing is written: records that no keeper has indexed yet are unknown.
    """

    layout: Layout
    index: Index
    limits: ProtocolLimits
    reference: ReferenceData

    def page(self, needs: Needs) -> Facts:
        """Return one page of the answer; ``more`` is the ``after`` of the next one."""
        ingest = self.ingest()  # first: what it calls scanned has its records on disk
        chosen = self._chosen(needs)
        pieces, more = self._fill(self._pieces(needs, list(chosen)))
        return Facts(
            observations=tuple(item for item in pieces if isinstance(item, ObservationRecord)),
            runs={item.task: item for item in pieces if isinstance(item, RunFact)},
            tries={item.task: item for item in pieces if isinstance(item, TryFact)},
            offers=tuple(item for item in pieces if isinstance(item, Offer)),
            record=group_record(self.index, self.layout, needs.group),
            ingest=ingest,
            reference=self.reference.checksums(chosen.values()),
            more=more,
        )

    def survey(self, start: datetime | None, after: str) -> Facts:
        """Return a page of the recordings from ``start`` on, without their files, and where ingest stands."""
        ingest = self.ingest()
        first = date_of(start) if start else ""
        self._refresh(first)
        query = "SELECT id, date FROM observations WHERE start >= ? ORDER BY start, id"
        names = [row["id"] for row in self.index.rows("ingest", query, (text(start),))]
        found = self._observations(names, after.partition(" ")[2])
        slim = ((at, size, tuple(item.model_copy(update=SLIM) for item in items)) for at, size, items in found)
        pieces, more = self._fill(slim)
        records = tuple(item for item in pieces if isinstance(item, ObservationRecord))
        return Facts(observations=records, ingest=ingest, more=more)

    def ingest(self) -> IngestFact:
        """Return where ingest stands; a damaged statement is none, and said."""
        path = self.layout.ingest_fact
        if not path.exists():
            return IngestFact()
        try:
            return read_record(path, IngestFact)
        except Damaged as error:
            return IngestFact(problems=(str(error),))

    def _fill(self, pieces: Iterator[Piece]) -> tuple[list[Model], str]:
        """Take pieces until the page is full; return them and the cursor of the last one if more are left."""
        room = self.limits.page_bytes * SHARE
        taken: list[Model] = []
        cursor = ""
        for at, size, items in pieces:
            room -= size
            if room < 0 and taken:
                return taken, cursor
            taken += items
            cursor = at
        return taken, ""

    def _pieces(self, needs: Needs, names: Sequence[str]) -> Iterator[Piece]:
        """Give observations, then offers, then runs and tries, from the cursor on."""
        kind, _, key = needs.after.partition(" ")
        if kind in {"", "observation"}:
            yield from self._observations(names, key)
        if kind in {"", "observation", "offer"}:
            yield from self._offers(needs, key if kind == "offer" else "")
        yield from self._tasks(needs, key if kind == "task" else "")

    # -- observations -----------------------------------------------------------------------------------------------

    def _chosen(self, needs: Needs) -> dict[str, str]:
        """Return ids and dates of the observations asked for, in time order."""
        if needs.start is not None:
            last = date_of(needs.end + timedelta(days=1)) if needs.end else LAST_DATE
            self._refresh(date_of(needs.start), last)
        rows = [*self._window(needs), *self._named(needs.ids)]
        return {row["id"]: row["date"] for row in sorted(rows, key=lambda row: (row["start"], row["id"]))}

    def _refresh(self, first: str = "", last: str = LAST_DATE) -> None:
        """Take note of recordings of these dates that are new or changed, and of files that were refused."""
        for source in (OBSERVATIONS, QUARANTINE) if self.index.writable else ():
            sync(self.layout, self.index, source, ScanReport(), first, last)

    def _window(self, needs: Needs) -> list[Row]:
        if needs.start is None:
            return []
        found: list[Row] = []
        targets = 0
        for row in self._from(needs):
            found.append(row)
            targets += row["role"] == Role.TARGET
            closed = needs.end is not None and row["start"] >= text(needs.end)
            if closed or (needs.count is not None and targets > needs.count):
                break
        return found

    def _from(self, needs: Needs) -> Iterator[Row]:
        own = "AND instrument = ?" if needs.instrument else ""
        query = f"SELECT id, date, start, role FROM observations WHERE start >= ? {own} ORDER BY start, id"  # noqa: S608 - no value
        start = text(needs.start)
        return self.index.stream("ingest", query, (start, needs.instrument) if own else (start,))

    def _named(self, names: Sequence[str]) -> list[Row]:
        """Look up observations by name: in the dates where they are known to lie, else in all that changed."""
        known = self._lookup(names)
        dates = {row["date"] for row in known}
        if len(known) < len(set(names)):
            self._refresh()
        for date in dates if len(known) == len(set(names)) else ():
            self._refresh(date, date)
        return self._lookup(names)

    def _lookup(self, names: Sequence[str]) -> list[Row]:
        query = "SELECT id, date, start FROM observations WHERE id IN"
        return [row for chunk in _chunks(names) for row in self.index.rows("ingest", *_inside(query, chunk))]

    def _observations(self, names: Sequence[str], after: str) -> Iterator[Piece]:
        left = names[names.index(after) + 1 :] if after in names else names
        for chunk in _chunks(left):
            rows = self.index.rows("ingest", *_inside("SELECT id, record FROM observations WHERE id IN", chunk))
            records = {row["id"]: row["record"] for row in rows}
            for name in chunk:
                if name in records:
                    record = records[name]
                    yield f"observation {name}", len(record), (ObservationRecord.model_validate_json(record),)

    # -- offers -----------------------------------------------------------------------------------------------------

    def _offers(self, needs: Needs, after: str) -> Iterator[Piece]:
        query = (
            "SELECT record, home, task, at FROM offers "
            "WHERE stage = ? AND at BETWEEN ? AND ? AND position_deg BETWEEN ? AND ?"
        )
        found: dict[tuple[str, str], Row] = {}
        for item in needs.offers:
            values = (item.stage, text(item.start), text(item.end), item.low_deg, item.high_deg)
            found |= {(row["at"], row["task"]): row for row in self.index.rows("cal_registry", query, values)}
        homes = run_homes(self.layout)
        for at, task in sorted(found):
            cursor, row = f"{at} {task}", found[at, task]
            if cursor > after:
                path = run_path(homes, row["home"], task)
                offer = Offer.model_validate_json(row["record"])
                if not path or not os.path.exists(f"{path}/{MANIFEST}"):  # noqa: PTH110 - hundreds of them
                    offer = offer.model_copy(update={"present": False})
                yield f"offer {cursor}", len(row["record"]), (offer,)

    # -- runs and tries ---------------------------------------------------------------------------------------------

    def _tasks(self, needs: Needs, after: str) -> Iterator[Piece]:
        if needs.units:
            self._look_at_active()
        tasks = sorted(task for task in {*needs.tasks, *self._on_record(needs.units)} if task > after)
        for chunk in _chunks(tasks):
            runs = self._runs(chunk)
            tries = self._tries(chunk)
            for task in chunk:
                items = tuple(facts[task] for facts in (runs, tries) if task in facts)
                yield f"task {task}", sum(len(item.model_dump_json()) for item in items), items

    def _on_record(self, units: Iterable[tuple[str, str]]) -> Iterator[str]:
        for table in ("runs", "attempts"):
            query = f"SELECT DISTINCT task FROM {table} WHERE unit = ? AND stage = ?"  # noqa: S608 - our names
            for stage, unit in units:
                yield from (row["task"] for row in self.index.rows("products", query, (unit, stage)))

    def _look_at_active(self) -> None:
        """Take note of attempts that began: workers register them when they end, but their directories show them."""
        begun = {path.name.rpartition("-")[0] for path in self.layout.active("").glob("*/*-[0-9]*")}
        query = "SELECT task FROM attempts WHERE task IN"
        known = {row["task"] for row in self.index.rows("products", *_inside(query, sorted(begun)))}
        list(read_attempts(self.layout, self.index, begun - known))

    def _runs(self, tasks: Sequence[str]) -> dict[str, RunFact]:
        query = "SELECT task, home, seen, record FROM runs WHERE task IN"
        found: dict[str, RunFact] = {}
        verified: list[tuple[str, str]] = []
        homes = run_homes(self.layout)
        for row in self.index.rows("products", *_inside(query, tasks)):
            manifest = Manifest.model_validate_json(row["record"])
            present, damaged, mark = _presence(run_path(homes, row["home"], row["task"]), row["seen"], manifest)
            found[row["task"]] = _run_fact(manifest, row["home"], present=present, damaged=damaged)
            if present and mark != row["seen"]:
                verified.append((mark, row["task"]))
        if verified and self.index.writable:
            with self.index.begin("products") as connection:
                connection.executemany("UPDATE runs SET seen = ? WHERE task = ?", verified)
        return found

    def _tries(self, tasks: Sequence[str]) -> dict[str, TryFact]:
        """Return the tries of tasks; a task whose directory of records changed is read from there."""
        root = str(self.layout.attempts)
        marks = {task: mark for task in tasks if (mark := _changed_at(f"{root}/{task}"))}
        query = "SELECT task, stamp, record FROM attempts WHERE task IN"
        rows = self.index.rows("products", *_inside(query, list(marks)))
        records: dict[str, list[AttemptRecord]] = {}
        for row in rows:
            if row["stamp"] == marks[row["task"]]:
                records.setdefault(row["task"], []).append(AttemptRecord.model_validate_json(row["record"]))
        known = {row["record"] for row in rows}
        for document in read_attempts(self.layout, self.index, marks.keys() - records, known):
            records.setdefault(document.name, []).append(document.record)
        facts = {task: try_fact(self.layout, found, self.limits) for task, found in records.items()}
        waits = {task: said for task in marks if (said := _wait(f"{root}/{task}"))}
        blank = {task: TryFact(task=task, round=0) for task in waits}
        return blank | facts | {task: (blank | facts)[task].model_copy(update={"waits": waits[task]}) for task in waits}


def _presence(path: str, seen: str, manifest: Manifest) -> tuple[bool, str, str]:
    """Return whether a run is on staging and sound, what is wrong with it, and the stamp of its manifest."""
    own = f"{path}/{MANIFEST}"
    mark = stamp(own) if path else ""
    try:
        if not mark:
            return False, _headless(path), ""
        if mark != seen and parse(own, read_text(own), Manifest) != manifest:
            return False, "", ""  # another attempt's; it counts when a worker registers it
        check_products(path, manifest)
    except Damaged as error:
        return False, str(error), ""
    return True, "", mark


def _headless(path: str) -> str:
    if not path or not os.path.isdir(path):  # noqa: PTH112 - thousands of them
        return ""
    return f"run {path} has no {MANIFEST}; it is done again"


def _changed_at(path: str) -> str:
    with suppress(OSError):
        return str(os.stat(path).st_mtime_ns)  # noqa: PTH116 - thousands of them
    return ""


def _wait(directory: str) -> str:
    """Return why a worker that has the task in hand has not begun it, in its own sentence."""
    path = Path(directory, "wait.json")
    with suppress(Damaged, ValueError, AttributeError):
        return str(json.loads(read_text(path)).get("sentence", "")) if path.exists() else ""
    return ""


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + CHUNK] for start in range(0, len(names), CHUNK))


def _inside(query: str, names: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Complete a query that ends with ``IN``."""
    return f"{query} ({', '.join('?' * len(names))})", names


def _run_fact(manifest: Manifest, home: str, *, present: bool, damaged: str) -> RunFact:
    return RunFact(
        task=manifest.task,
        stage=manifest.stage,
        unit=manifest.unit,
        group=manifest.group,
        home=home,
        present=present,
        damaged=damaged,
        verdict=manifest.verdict,
        figures=tuple(item for item in manifest.figures if item.verdict is not Verdict.PASS),
        info=manifest.info,
        finished=manifest.finished,
        wall_s=manifest.usage.wall_s,
    )


def lock_is_live(lock: Path, fresh_s: float) -> bool:
    """Say whether a task's lock is held and was touched less than ``fresh_s`` seconds ago (P3).

    The probe asks for a shared lock and gives it back at once; the file is never made or changed.
    """
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if time.time() - os.fstat(handle).st_mtime > fresh_s:
            return False
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def try_fact(layout: Layout, records: Iterable[AttemptRecord], limits: ProtocolLimits) -> TryFact:
    """Count the tries of the highest round at one task (P3).

    Parameters
    ----------
    records
        All attempt records of one task, at least one.
    """
    known = sorted(records, key=lambda record: record.number)
    count = tally(known, 0)
    last = [record for record in known if record.round == count.round][-1]
    return TryFact(
        task=last.task,
        round=count.round,
        failed=count.failed,
        lost=count.lost,
        running=last.state is AttemptState.RUNNING and lock_is_live(layout.locks / last.task, limits.lock_fresh_s),
        final=last.state is AttemptState.FAILED and given_up(count, limits),
        first=min(record.started for record in known),
        last=last,
    )
