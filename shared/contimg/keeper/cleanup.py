"""Clean-up of staging (architecture.md, P12): what nobody wants any more and is past its retention.

Never touched: manifests and records in the state directory, the archive, raw files, task locks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from contimg.keeper.documents import text
from contimg.keeper.index import Index, put
from contimg.keeper.published import points_at, published_names
from contimg.keeper.schema import WANTED_KEPT_S
from contimg.limits import ProtocolLimits
from contimg.models.manifest import Manifest
from contimg.models.spec import data_types
from contimg.volume import disk
from contimg.volume.attempt import is_abandoned
from contimg.volume.layout import Layout
from contimg.volume.names import names_of

__all__ = ["CleanReport", "clean_attempts", "clean_failed", "clean_runs", "empty_trash", "note_wanted"]

TRASH = ".trash-"
"""Begin of the name of a run directory that is being deleted."""
DAMAGED = ".damaged-"
"""In the name of a run directory that a worker moved aside."""


@dataclass
class CleanReport:
    """What was removed."""

    released: list[str] = field(default_factory=list)
    """Tasks whose runs were deleted."""
    logs: list[Path] = field(default_factory=list)
    """Old error logs, kept files, and damaged runs that were moved aside."""
    attempts: list[Path] = field(default_factory=list)
    """Attempt directories whose process is gone."""


def note_wanted(index: Index, tasks: Iterable[str], now: datetime) -> None:
    """Remember that these runs are wanted now, and forget marks that are too old to matter."""
    rows = [{"task": task, "at": text(now)} for task in sorted(set(tasks))]
    with index.begin("products") as connection:
        put(connection, "wanted", rows)
        connection.execute("DELETE FROM wanted WHERE at < ?", (text(now - timedelta(seconds=WANTED_KEPT_S)),))


def due(index: Index, limits: ProtocolLimits, now: datetime) -> Iterator[tuple[str, str]]:
    """Give task and home of every run that is kept though its retention is over and nobody wants it."""
    idle = text(now - timedelta(seconds=limits.unwanted_s))
    query = (
        "SELECT task, home FROM runs WHERE kept AND home = ? AND finished <= ? AND NOT EXISTS "
        "(SELECT 1 FROM wanted WHERE wanted.task = runs.task AND wanted.at > ?) ORDER BY finished, task"
    )
    for kind in data_types().values():
        if kind.retention_days is not None:
            old = text(now - timedelta(days=kind.retention_days))
            yield from ((row["task"], row["home"]) for row in index.rows("products", query, (kind.name, old, idle)))


def clean_runs(layout: Layout, index: Index, limits: ProtocolLimits, now: datetime) -> Iterator[str]:
    """Delete runs that are unwanted and past the retention of their type; give their tasks one by one."""
    for task, home in due(index, limits, now):
        there = layout.run(home, task).is_dir()
        if _set_aside(layout, index, limits, (task, home), now):
            _delete(layout, index, task, home)
            if there:
                yield task


def _set_aside(layout: Layout, index: Index, limits: ProtocolLimits, run: tuple[str, str], now: datetime) -> bool:
    """Rename a run unless somebody came to want it meanwhile: from then on nothing refers to it as a run."""
    task, home = run
    idle = text(now - timedelta(seconds=limits.unwanted_s))
    with index.begin("products") as connection:
        if connection.execute("SELECT 1 FROM wanted WHERE task = ? AND at > ?", (task, idle)).fetchone():
            return False
        path = layout.run(home, task)
        if path.is_dir():
            disk.rename(path, _trash(path))
    return True


def _trash(run: Path) -> Path:
    return run.with_name(TRASH + run.name)


def _delete(layout: Layout, index: Index, task: str, home: str) -> None:
    """Finish the deletion of a run that was renamed; each step can be repeated."""
    run = layout.run(home, task)
    known = index.rows("products", "SELECT record FROM runs WHERE task = ?", (task,))
    names = names_of(layout, Manifest.model_validate_json(known[0]["record"])) if known else {}
    for name, inside in (names | published_names(index, layout, task)).items():
        if _is_ours(name, run / inside, _trash(run) / inside):
            name.unlink()
    disk.remove(_trash(run))
    with index.begin("products") as connection:
        connection.execute("UPDATE runs SET kept = 0, seen = '' WHERE task = ?", (task,))


def _is_ours(name: Path, product: Path, trashed: Path) -> bool:
    """Say whether a name led to the run: a symlink to where it was, or a hard link to where it is."""
    if name.is_symlink():
        return Path(os.path.normpath(name.parent / name.readlink())) == Path(os.path.normpath(product))
    return name.exists() and points_at(name, trashed)


def empty_trash(layout: Layout, index: Index) -> None:
    """Finish deletions that a killed keeper began."""
    for home in data_types():
        for name in _names(layout.runs(home)):
            if name.startswith(TRASH):
                task = name.removeprefix(TRASH)
                if layout.run(home, task).exists():
                    disk.remove(layout.runs(home) / name)  # made again meanwhile
                else:
                    _delete(layout, index, task, home)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - names, thousands of them
    except FileNotFoundError:
        return []


def clean_failed(layout: Layout, limits: ProtocolLimits, now: datetime) -> list[Path]:
    """Remove error logs, kept files of failed attempts and damaged runs that are too old; return what was removed."""
    old = (now - timedelta(seconds=limits.failed_kept_s)).timestamp()
    runs = [layout.runs(home) for home in data_types()]
    damaged = [directory / name for directory in runs for name in _names(directory) if DAMAGED in name]
    removed = [path for path in [*sorted(layout.failed.glob("*/*")), *damaged] if path.lstat().st_mtime <= old]
    for path in removed:
        disk.remove(path)
    for directory in {path.parent for path in removed} & set(layout.failed.glob("*")):
        if not any(directory.iterdir()):
            directory.rmdir()
    return removed


def clean_attempts(layout: Layout, limits: ProtocolLimits, now: datetime) -> list[Path]:
    """Remove attempt directories whose own lock is free and in which nothing happened for a while."""
    found = sorted(layout.active("").glob("*/*"))
    removed = [path for path in found if is_abandoned(path, limits.abandoned_s, now.timestamp())]
    for path in removed:
        disk.remove(path)
    return removed
