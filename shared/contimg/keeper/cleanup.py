"""Clean-up of staging (architecture.md, P12): what nobody wants any more and is past its retention.

Never touched: manifests and records in the state directory, the archive, raw files, task locks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from contimg import crash
from contimg.keeper.index import Index
from contimg.keeper.published import points_at, published_names, put_registry
from contimg.keeper.rows import set_present, text
from contimg.keeper.tables import runs
from contimg.limits import ProtocolLimits
from contimg.models.manifest import Manifest
from contimg.volume.attempt import has_live_holder
from contimg.volume.disk import remove_tree
from contimg.volume.layout import DATA_TYPES, Layout
from contimg.volume.names import names_of

__all__ = ["CleanReport", "clean_attempts", "clean_failed", "clean_runs", "note_wanted"]

TRASH = ".trash-"
"""Begin of the name of a run directory that is being deleted."""


@dataclass
class CleanReport:
    """What was removed."""

    released: list[str] = field(default_factory=list)
    """Tasks whose runs were deleted."""
    logs: list[Path] = field(default_factory=list)
    """Old error logs and kept files."""
    attempts: list[Path] = field(default_factory=list)
    """Attempt directories whose process is gone."""


def note_wanted(index: Index, tasks: Iterable[str], now: datetime) -> None:
    """Remember that these runs are wanted now."""
    wanted = sorted(set(tasks))
    with index.begin("products") as connection:
        for start in range(0, len(wanted), 500):
            chosen = runs.c.task.in_(wanted[start : start + 500])
            connection.execute(runs.update().where(chosen).values(wanted_at=text(now)))


def clean_runs(layout: Layout, index: Index, limits: ProtocolLimits, last_wanted: datetime, now: datetime) -> list[str]:
    """Delete runs that are unwanted and past the retention of their type; return their tasks.

    Parameters
    ----------
    last_wanted
        When the engine's host last said what it wants; if that is too long ago, nothing is deleted.
    """
    _empty_trash(layout, index)
    if now - last_wanted >= timedelta(seconds=limits.wanted_fresh_s):
        return []
    idle = text(now - timedelta(seconds=limits.unwanted_s))
    released = []
    chosen = runs.select().where(runs.c.present, runs.c.wanted_at <= idle)
    for row in index.rows("products", chosen.order_by(runs.c.finished, runs.c.task)):
        days = DATA_TYPES[row["home"]].retention_days
        if days is not None and datetime.fromisoformat(row["finished"]) + timedelta(days=days) <= now:
            _release(layout, index, Manifest.model_validate_json(row["manifest"]), row["home"])
            released.append(row["task"])
    return released


def _release(layout: Layout, index: Index, manifest: Manifest, home: str) -> None:
    """Delete one run: once it is renamed, nothing refers to it as a run, and each further step can be repeated."""
    run = layout.run(home, manifest.task)
    trash = run.with_name(TRASH + run.name)
    crash.point("keeper.clean.rename")
    if run.is_dir():
        run.rename(trash)
    crash.point("keeper.clean.renamed")
    _delete(layout, index, manifest, run, trash)
    set_present(index, manifest.task, present=False, stamp="")
    put_registry(index, layout, manifest, home, present=False)
    crash.point("keeper.clean.done")


def _delete(layout: Layout, index: Index, manifest: Manifest, run: Path, trash: Path) -> None:
    names = names_of(layout, manifest) | published_names(index, layout, manifest.task)
    for name, inside in names.items():
        if _is_ours(name, run / inside, trash / inside):
            name.unlink()
            crash.point("keeper.clean.unlinked")
    remove_tree(trash)
    crash.point("keeper.clean.deleted")


def _is_ours(name: Path, product: Path, trashed: Path) -> bool:
    """Say whether a name led to the run: a symlink to where it was, or a hard link to where it is."""
    if name.is_symlink():
        return Path(os.path.normpath(name.parent / name.readlink())) == Path(os.path.normpath(product))
    return name.exists() and points_at(name, trashed)


def _empty_trash(layout: Layout, index: Index) -> None:
    """Finish deletions that a killed keeper began."""
    for home in DATA_TYPES:
        for trash in layout.runs(home).glob(f"{TRASH}*"):
            task = trash.name.removeprefix(TRASH)
            known = index.rows("products", select(runs.c.manifest).where(runs.c.task == task))
            run = layout.run(home, task)
            if known and not run.exists():
                manifest = Manifest.model_validate_json(known[0]["manifest"])
                _delete(layout, index, manifest, run, trash)
                set_present(index, task, present=False, stamp="")
                put_registry(index, layout, manifest, home, present=False)
            else:
                remove_tree(trash)


def clean_failed(layout: Layout, limits: ProtocolLimits, now: datetime) -> list[Path]:
    """Remove error logs and kept files of failed attempts that are too old; return what was removed."""
    old = (now - timedelta(seconds=limits.failed_kept_s)).timestamp()
    found = sorted(layout.failed.glob("*/*"))
    removed = [path for path in found if path.lstat().st_mtime <= old]
    for path in removed:
        remove_tree(path)
    for directory in {path.parent for path in removed}:
        if not any(directory.iterdir()):
            directory.rmdir()
    return removed


def clean_attempts(layout: Layout, limits: ProtocolLimits, now: datetime) -> list[Path]:
    """Remove attempt directories whose own lock is free and in which nothing happened for a while."""
    old = (now - timedelta(seconds=limits.abandoned_s)).timestamp()
    found = sorted(layout.active("").glob("*/*"))
    removed = [path for path in found if path.is_dir() and _newest(path) <= old and not has_live_holder(path)]
    for path in removed:
        crash.point("keeper.clean.attempt")
        remove_tree(path)
    return removed


def _newest(path: Path) -> float:
    """Return the latest change of a directory or of what lies directly in it."""
    return max([path.stat().st_mtime, *(item.lstat().st_mtime for item in path.iterdir())])
