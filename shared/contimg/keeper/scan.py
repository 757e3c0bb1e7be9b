"""Rebuild the indexes from the disk. Idempotent; only files that changed since the last scan are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, select

from contimg.errors import Damaged
from contimg.keeper.index import Index, upsert
from contimg.keeper.published import plans_directory, put_plan, put_registry
from contimg.keeper.records import read_record, stamp
from contimg.keeper.rows import home_of, put_attempt, put_group, put_manifest, put_observation, set_present
from contimg.keeper.tables import attempts, damaged, files, groups, observations, plans, publications, quarantine, runs
from contimg.models.fact import GroupRecord
from contimg.models.manifest import AttemptRecord, Manifest
from contimg.models.observation import ObservationRecord
from contimg.models.plan import Plan
from contimg.volume.attempt import MANIFEST
from contimg.volume.layout import DATA_TYPES, Layout

__all__ = ["ScanReport", "check_products", "scan", "scan_ingest"]


@dataclass
class ScanReport:
    """What a scan found."""

    read: int = 0
    """Files that were new or changed."""
    vanished: list[str] = field(default_factory=list)
    """Tasks whose run directory is gone since the last scan."""
    unregistered: list[Path] = field(default_factory=list)
    """Committed runs that no worker has registered; they are adopted when their task is asked for."""
    damaged: dict[str, str] = field(default_factory=dict)
    """Sentence by file."""


def check_products(run: Path, manifest: Manifest) -> None:
    """Compare a run with its manifest by presence and size (content checksums are the archive's business).

    Raises
    ------
    Damaged
        Naming the first product that is missing or has another size.
    """
    for product in manifest.products:
        path = run / product.path
        cure = f"move {run} away, the task is then done again"
        if not path.exists():
            raise Damaged(f"{path} is missing although {MANIFEST} of its run lists it; {cure}")
        if path.is_file() and product.bytes and path.stat().st_size != product.bytes:
            found = path.stat().st_size
            raise Damaged(f"{path} has {found} bytes, {MANIFEST} of its run says {product.bytes}; {cure}")


def scan(layout: Layout, index: Index, now: datetime) -> ScanReport:
    """Bring all indexes up to date with manifests and records on disk."""
    report = ScanReport()
    _scan_plans(layout, index, report)
    _scan_runs(layout, index, now, report)
    _scan_archive(layout, index)
    _scan_attempts(layout, index, report)
    _scan_groups(layout, index, report)
    scan_ingest(layout, index, report)
    _put_damaged(index, report)
    return report


def scan_ingest(layout: Layout, index: Index, report: ScanReport) -> None:
    """Bring the index of observations and quarantined files up to date."""

    def observation(path: Path, mark: str) -> None:
        put_observation(index, read_record(path, ObservationRecord), mark)

    found = {path.stem: path for path in _json(layout.observations, "*/*.json")}
    gone = _refresh(index, "ingest", observations, found, observation, report)
    with index.begin("ingest") as connection:
        for key in gone:
            connection.execute(delete(files).where(files.c.observation == key))
    refused = {str(path.relative_to(layout.quarantine)): path for path in _json(layout.quarantine, "**/*.json")}
    _refresh(index, "ingest", quarantine, refused, lambda path, mark: _put_refusal(layout, index, path, mark), report)


def _put_refusal(layout: Layout, index: Index, path: Path, mark: str) -> None:
    try:
        record = json.loads(path.read_text())
        row = {key: str(record.get(key) or "") for key in ("path", "reason", "sentence", "time")}
    except (OSError, ValueError, AttributeError) as error:
        raise Damaged(f"{path} is no quarantine record ({error}); restore it or remove it") from error
    key = str(path.relative_to(layout.quarantine))
    with index.begin("ingest") as connection:
        upsert(connection, quarantine, [{"record_path": key, **row, "record": json.dumps(record), "stamp": mark}])


def _json(directory: Path, pattern: str) -> Iterator[Path]:
    found = directory.glob(pattern) if directory.is_dir() else iter(())
    return (path for path in found if not path.name.startswith("."))


def _refresh(
    index: Index,
    database: str,
    table: Table,
    found: dict[str, Path],
    put: Callable[[Path, str], None],
    report: ScanReport,
) -> list[str]:
    """Read the changed files of one table, drop rows without a file; return their keys."""
    key = next(iter(table.primary_key)).name
    known = {row[key]: row["stamp"] for row in index.rows(database, table.select())}
    for name, path in found.items():
        mark = stamp(path)
        if known.get(name) == mark:
            continue
        try:
            put(path, mark)
            report.read += 1
        except Damaged as error:
            report.damaged[str(path)] = str(error)
    gone = [name for name in known if name not in found]
    with index.begin(database) as connection:
        for name in gone:
            connection.execute(delete(table).where(table.c[key] == name))
    return gone


def _scan_plans(layout: Layout, index: Index, report: ScanReport) -> None:
    def plan(path: Path, mark: str) -> None:
        put_plan(index, path.stem, read_record(path, Plan), mark)

    found = {path.stem: path for path in _json(plans_directory(layout), "*.json")}
    gone = _refresh(index, "data_registry", plans, found, plan, report)
    with index.begin("data_registry") as connection:
        for key in gone:
            connection.execute(delete(publications).where(publications.c.plan == key))


def _scan_groups(layout: Layout, index: Index, report: ScanReport) -> None:
    def group(path: Path, mark: str) -> None:
        put_group(index, read_record(path, GroupRecord), mark)

    found = {path.stem: path for path in _json(layout.groups, "*.json")}
    _refresh(index, "data_registry", groups, found, group, report)


def _scan_attempts(layout: Layout, index: Index, report: ScanReport) -> None:
    known = {(row["task"], row["number"]): row["stamp"] for row in index.rows("products", attempts.select())}
    for path in _json(layout.attempts, "*/*.json"):
        mark = stamp(path)
        if path.stem.isdecimal() and known.get((path.parent.name, int(path.stem))) == mark:
            continue
        try:
            put_attempt(index, read_record(path, AttemptRecord), mark)
            report.read += 1
        except Damaged as error:
            report.damaged[str(path)] = str(error)


def _committed(layout: Layout) -> dict[str, tuple[str, Path]]:
    """Return home and directory of every committed run on staging, by task."""
    found: dict[str, tuple[str, Path]] = {}
    for home in DATA_TYPES:
        directory = layout.runs(home)
        entries = directory.iterdir() if directory.is_dir() else iter(())
        found |= {path.name: (home, path) for path in entries if not path.name.startswith(".")}
    return found


def _scan_runs(layout: Layout, index: Index, now: datetime, report: ScanReport) -> None:
    """Index registered runs: those whose manifest was copied to the state directory.

    A run without the copy was committed by a worker that died before it gave the run its names; it counts only
    when its task is asked for and a worker adopts it (P6).
    """
    known = {row["task"]: row for row in index.rows("products", runs.select())}
    committed = _committed(layout)
    for copy in _json(layout.manifests, "*.json"):
        home, run = committed.pop(copy.stem, ("", Path()))
        try:
            _scan_run(layout, index, known.get(copy.stem), (copy, home, run), now, report)
        except Damaged as error:
            report.damaged[str(run / MANIFEST if home else copy)] = str(error)
            if copy.stem in known:
                set_present(index, copy.stem, present=False, stamp="damaged")
    report.unregistered += [path for _, path in committed.values()]


def _scan_run(
    layout: Layout,
    index: Index,
    known: dict[str, Any] | None,
    where: tuple[Path, str, Path],
    now: datetime,
    report: ScanReport,
) -> None:
    copy, home, run = where
    mark = f"{stamp(copy)} {stamp(run / MANIFEST) if home else ''}"
    if known is not None and known["stamp"] == mark:
        if known["present"]:
            check_products(run, Manifest.model_validate_json(known["manifest"]))
        return
    manifest = read_record(copy, Manifest)
    if manifest.task != copy.stem:
        raise Damaged(f"{copy} is the manifest of task {manifest.task}; restore it or move it away")
    present = bool(home) and run.is_dir() and read_record(run / MANIFEST, Manifest) == manifest
    home = home or home_of(manifest.stage)
    put_manifest(index, manifest, home, present=present, stamp=mark, now=now)
    put_registry(index, layout, manifest, home, present=present)
    report.read += 1
    if present:
        check_products(run, manifest)
    elif known is not None and known["present"]:
        report.vanished.append(copy.stem)


def _scan_archive(layout: Layout, index: Index) -> None:
    """Bring status and published paths up to date for everything that is in the archive."""
    published = index.rows("data_registry", select(publications.c.task).distinct())
    for item in published:
        for row in index.rows("products", runs.select().where(runs.c.task == item["task"])):
            manifest = Manifest.model_validate_json(row["manifest"])
            put_registry(index, layout, manifest, row["home"], present=row["present"])


def _put_damaged(index: Index, report: ScanReport) -> None:
    with index.begin("products") as connection:
        connection.execute(delete(damaged))
        upsert(connection, damaged, [{"path": p, "sentence": s} for p, s in report.damaged.items()])
