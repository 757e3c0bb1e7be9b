"""What became of products after their run: on staging, published, superseded or released. Read from the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contimg.keeper.documents import run_homes, run_path
from contimg.keeper.index import Index, Row
from contimg.keeper.records import read_record
from contimg.models.fact import GroupRecord
from contimg.models.manifest import Manifest
from contimg.models.plan import Plan, plan_item
from contimg.models.spec import data_types
from contimg.volume import disk
from contimg.volume.attempt import MANIFEST
from contimg.volume.layout import Layout

__all__ = ["group_record", "keep_plan", "points_at", "product_rows", "published_names"]

PLAN = "plan"
"""Role of the product that says what a group publishes."""


def keep_plan(layout: Layout, task: str) -> Plan | None:
    """Copy the plan that a run made to the state directory, with the run's own products as further items.

    Returns
    -------
    Plan or None
        None if no such run is on staging (its plan was kept before) or it has no plan.
    """
    run = next((path for home in data_types() if (path := layout.run(home, task)) and path.is_dir()), None)
    if run is None or not (run / MANIFEST).is_file():
        return None
    manifest = read_record(run / MANIFEST, Manifest)
    inside = next((item.path for item in manifest.products if item.role == PLAN), None)
    if inside is None:
        return None
    plan = read_record(run / inside, Plan)
    published = [item for item in manifest.products if item.type in data_types() and data_types()[item.type].archive]
    own = [plan_item(item, task, plan.group, plan.date, directory=False) for item in published]
    full = plan.model_copy(update={"items": (*plan.items, *own)})
    disk.write(layout.plan(task), full.model_dump_json())
    return full


def points_at(name: Path, target: Path) -> bool:
    """Say whether a name (hard link or symlink) leads to a file or directory."""
    try:
        return os.path.samestat(name.stat(), target.stat())
    except OSError:
        return False


def _archive_home(layout: Layout, data_type: str) -> Path | None:
    return layout.archive / data_types()[data_type].archive if data_type in data_types() else None


def published_names(index: Index, layout: Layout, task: str) -> dict[Path, str]:
    """Return the names that validated products of a run have on staging, with their paths inside the run."""
    rows = index.rows("data_registry", "SELECT type, name, path FROM publications WHERE task = ?", (task,))
    known = [row for row in rows if row["type"] in data_types()]
    return {layout.products / data_types()[row["type"]].archive / row["name"]: row["path"] for row in known}


def _where(layout: Layout, item: Row) -> tuple[str, Path | None]:
    """Return status and path of a product in the archive; the newest version of a name is the one it leads to."""
    home = _archive_home(layout, item["type"])
    kept = home / ".runs" / item["task"] / item["path"] if home else None
    if home is None or kept is None or not kept.exists():
        return "", None
    return ("published", home / item["name"]) if points_at(home / item["name"], kept) else ("superseded", kept)


def product_rows(index: Index, layout: Layout, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return products with what the disk says of them now: state, paths, when they were published."""
    tasks = sorted({row["task"] for row in rows})
    query = f"SELECT * FROM publications WHERE task IN ({', '.join('?' * len(tasks))})"  # noqa: S608 - no value
    items: dict[tuple[str, str], list[Row]] = {}
    for item in index.rows("data_registry", query, tasks):
        items.setdefault((item["task"], item["path"]), []).append(item)
    homes = run_homes(layout)
    return [_product_row(layout, homes, row, items.get((row["task"], row["path"]), [])) for row in rows]


def _product_row(layout: Layout, homes: Mapping[str, str], row: Row, items: Sequence[Row]) -> dict[str, Any]:
    found = [(*_where(layout, item), item["s3_key"]) for item in items]
    status, where, key = min(found, default=("", None, ""), key=lambda place: (not place[0], place[0]))
    run = run_path(homes, row["home"], row["task"])
    present = bool(run) and os.path.exists(f"{run}/{row['path']}")  # noqa: PTH110 - thousands of them
    return {
        **dict(row),
        "state": status or ("staging" if present else "released"),
        "stage_path": f"{run}/{row['path']}" if present else "",
        "published_path": "" if where is None else str(where),
        "published_at": "" if where is None else datetime.fromtimestamp(where.stat().st_ctime, UTC).isoformat(),
        "s3_key": key if status else "",
    }


def group_record(index: Index, layout: Layout, group: str) -> GroupRecord | None:
    """Return the latest record of a group, with ``current`` as the archive shows it now."""
    rows = index.rows("data_registry", "SELECT record FROM groups WHERE group_id = ?", (group,))
    if not rows:
        return None
    record = GroupRecord.model_validate_json(rows[0]["record"])
    return record.model_copy(update={"current": _is_current(index, layout, record)})


def _is_current(index: Index, layout: Layout, record: GroupRecord) -> bool:
    """Say whether every published name still leads to what this record published; nothing published is current."""
    if not record.published:
        return True
    items = index.rows("data_registry", "SELECT * FROM publications WHERE plan = ?", (record.task,))
    return all(_where(layout, item)[0] == "published" for item in items)
