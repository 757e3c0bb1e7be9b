"""Where the records lie on disk, and how the databases are brought up to date with them.

A directory whose modification time is known is not listed, a file whose stamp is known is not read: a start, and a
look every ten minutes, costs as much as changed. What is read is indexed in batches; no lock is held between them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel

from contimg.errors import Damaged
from contimg.keeper.documents import (
    Document,
    put_attempts,
    put_groups,
    put_observations,
    put_plans,
    put_quarantine,
    put_runs,
)
from contimg.keeper.index import Index, put
from contimg.keeper.records import mark_of, parse, read_text
from contimg.models.base import date_of
from contimg.models.fact import GroupRecord
from contimg.models.manifest import AttemptRecord, Manifest
from contimg.models.observation import ObservationRecord, QuarantineRecord
from contimg.models.plan import Plan
from contimg.volume.layout import Layout

__all__ = [
    "OBSERVATIONS",
    "QUARANTINE",
    "ScanReport",
    "Source",
    "forget",
    "read_attempts",
    "scan",
    "scan_attempts",
    "sync",
]

BATCH = 500
"""Records in one transaction."""
SETTLED_NS = 2_000_000_000
"""A directory that changed later than this before it was listed may change again at the same time stamp."""
T = TypeVar("T")


@dataclass
class ScanReport:
    """What a scan found."""

    read: int = 0
    """Files that were new or changed."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Sentence by file, of the directories that changed."""


@dataclass(frozen=True)
class Source:
    """One kind of record: its directory below the state directory, its table, its model."""

    directory: str
    database: str
    table: str
    key: str
    """Column with the name of the file; also the field of the model, if that has one."""
    model: type[BaseModel]
    put: Callable[[Index, Layout, Sequence[Document[Any]]], None]
    dated: bool = False
    """One directory per date below."""


OBSERVATIONS = Source("observations", "ingest", "observations", "id", ObservationRecord, put_observations, dated=True)
QUARANTINE = Source("quarantine", "ingest", "quarantine", "name", QuarantineRecord, put_quarantine, dated=True)
_MANIFESTS = Source("manifests", "products", "runs", "task", Manifest, put_runs, dated=True)
SOURCES = (
    Source("plans", "data_registry", "plans", "task", Plan, put_plans),
    _MANIFESTS,
    Source("groups", "data_registry", "groups", "group_id", GroupRecord, put_groups),
    OBSERVATIONS,
    QUARANTINE,
)


def forget(index: Index) -> None:
    """Let records be read again whose rows stood in a database that was made anew."""
    own = index.rebuilt - {"ingest", "products", "data_registry"}
    if index.rebuilt - {"ingest"}:
        _forget(index, _MANIFESTS)
    if own - {"cal_registry"}:
        _forget(index, OBSERVATIONS)


def _forget(index: Index, source: Source) -> None:
    with index.begin(source.database) as connection:
        connection.execute("DELETE FROM places WHERE source = ?", (source.directory,))
        connection.execute(f"UPDATE {source.table} SET stamp = ''")  # noqa: S608 - our names


def scan(layout: Layout, index: Index) -> ScanReport:
    """Bring the databases up to date with everything on disk that changed."""
    report = ScanReport()
    for source in SOURCES:
        sync(layout, index, source, report)
    return report


def sync(layout: Layout, index: Index, source: Source, report: ScanReport, first: str = "", last: str = "~") -> None:
    """Bring one table up to date with its directories from date ``first`` to ``last``."""
    root = str(layout.state / source.directory)
    query = "SELECT date, mtime FROM places WHERE source = ? AND date BETWEEN ? AND ?"
    known = {row["date"]: row["mtime"] for row in index.rows(source.database, query, (source.directory, first, last))}
    here = sorted(name for name in _directories(root) if first <= name <= last) if source.dated else [""]
    for date in here:
        path = os.path.join(root, date)  # noqa: PTH118 - one per date and look
        with suppress(FileNotFoundError, NotADirectoryError):
            mtime = os.stat(path).st_mtime_ns  # noqa: PTH116 - same
            if known.get(date) != mtime:
                settled = time.time_ns() - mtime > SETTLED_NS
                _sync_place(layout, index, source, date, report)
                _note_place(index, source, date, mtime if settled else 0)
    for date in known.keys() - set(here):
        _drop(index, source, date, None)
        with index.begin(source.database) as connection:
            connection.execute("DELETE FROM places WHERE source = ? AND date = ?", (source.directory, date))


def _directories(root: str) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except FileNotFoundError:
        return []


def _note_place(index: Index, source: Source, date: str, mtime: int) -> None:
    with index.begin(source.database) as connection:
        put(connection, "places", [{"source": source.directory, "date": date, "mtime": mtime}])


def _sync_place(layout: Layout, index: Index, source: Source, date: str, report: ScanReport) -> None:
    """Read what is new or changed in one directory, drop rows without a sound file.

    The rows are asked for before the files are listed: a file is written before its row.
    """
    query = f"SELECT {source.key} AS name, stamp FROM {source.table} WHERE date = ?"  # noqa: S608 - our names
    rows = {row["name"]: row["stamp"] for row in index.rows(source.database, query, (date,))}
    root = os.path.join(layout.state, source.directory, date).rstrip("/")  # noqa: PTH118 - of thousands of files
    found = _files(root)
    bad: dict[str, str] = {}
    documents = _read(root, source, date, {k: mark for k, mark in found.items() if rows.get(k) != mark}, bad)
    for batch in _batches(documents):
        source.put(index, layout, batch)
        report.read += len(batch)
    gone = [name for name in rows if name not in found or name in bad]
    if gone:
        _drop(index, source, date, gone)
    report.damaged |= {f"{root}/{name}.json": sentence for name, sentence in bad.items()}
    _note_damaged(index, source, date, {f"{root}/{name}.json": said for name, said in bad.items()})


def _files(root: str) -> dict[str, str]:
    """Return the stamps of the JSON files of a directory by name without suffix."""
    with os.scandir(root) as entries:
        return {
            entry.name[:-5]: mark_of(entry.stat())
            for entry in entries
            if entry.name.endswith(".json") and not entry.name.startswith(".")
        }


def _read(root: str, source: Source, date: str, marks: dict[str, str], bad: dict[str, str]) -> Iterator[Document[Any]]:
    for name, mark in marks.items():
        path = f"{root}/{name}.json"
        try:
            content = read_text(path)
            record = parse(path, content, source.model)
            _check(path, name, record, source, date)
        except Damaged as error:
            bad[name] = str(error)
            continue
        yield Document(name, date, mark, content, record)


def _check(path: str, name: str, record: BaseModel, source: Source, date: str) -> None:
    """Refuse a record that does not lie where its own fields say: copied by hand it would be believed twice."""
    own = getattr(record, source.key.removesuffix("_id"), name)
    if own != name or (source.dated and getattr(record, "date", date) != date):
        raise Damaged(f"{path} holds the record of {own}; move it away or to where it belongs")


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _drop(index: Index, source: Source, date: str, names: Sequence[str] | None) -> None:
    """Forget rows of one date; None: all of them."""
    with index.begin(source.database) as connection:
        chosen = f"DELETE FROM {source.table} WHERE date = ?"  # noqa: S608 - our names
        if names is None:
            connection.execute(chosen, (date,))
        else:
            connection.executemany(f"{chosen} AND {source.key} = ?", [(date, name) for name in names])


def _note_damaged(index: Index, source: Source, date: str, sentences: dict[str, str]) -> None:
    known = index.rows(
        "products", "SELECT 1 FROM damaged WHERE source = ? AND date = ? LIMIT 1", (source.directory, date)
    )
    if not known and not sentences:
        return
    rows = [{"path": p, "source": source.directory, "date": date, "sentence": s} for p, s in sentences.items()]
    with index.begin("products") as connection:
        connection.execute("DELETE FROM damaged WHERE source = ? AND date = ?", (source.directory, date))
        put(connection, "damaged", rows)


def scan_attempts(layout: Layout, index: Index) -> int:
    """Index every attempt record on disk; needed only when their table was made anew. Returns how many."""
    return sum(1 for _ in read_attempts(layout, index, _directories(str(layout.attempts))))


def read_attempts(
    layout: Layout, index: Index, tasks: Iterable[str], known: Collection[str] = ()
) -> Iterator[Document[AttemptRecord]]:
    """Read the records of these tasks, index them if that may be, and give them; unreadable ones are left out.

    Those whose content is ``known`` to be indexed are written only once more, when their directory has settled.
    """
    root = str(layout.attempts)
    for batch in _batches(document for task in tasks for document in _attempts(f"{root}/{task}", task)):
        new = [item for item in batch if item.stamp or item.content not in known]
        if new and index.writable:
            put_attempts(index, new)
        yield from batch


def _attempts(root: str, task: str) -> Iterator[Document[AttemptRecord]]:
    """Read the records of a task; all carry the stamp of the directory, empty while that may still change."""
    try:
        mtime = os.stat(root).st_mtime_ns  # noqa: PTH116 - thousands of them
        names = [name for name in os.listdir(root) if name.endswith(".json") and name[:-5].isdecimal()]  # noqa: PTH208 - same
    except (FileNotFoundError, NotADirectoryError):
        return
    mark = str(mtime) if time.time_ns() - mtime > SETTLED_NS else ""
    for name in names:
        path = f"{root}/{name}"
        with suppress(Damaged):
            content = read_text(path)
            record = parse(path, content, AttemptRecord)
            yield Document(task, date_of(record.started), mark, content, record)
