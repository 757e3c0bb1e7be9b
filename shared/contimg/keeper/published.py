"""What became of products after their run: on staging, published, superseded or released. Read from the disk."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from contimg import crash
from contimg.keeper.index import Index, upsert
from contimg.keeper.records import read_record, write_record
from contimg.keeper.rows import text
from contimg.keeper.tables import data_registry, plans, publications
from contimg.models.fact import GroupRecord
from contimg.models.manifest import Manifest
from contimg.models.plan import Plan, plan_item
from contimg.volume.attempt import MANIFEST
from contimg.volume.layout import DATA_TYPES, Layout

__all__ = [
    "is_current",
    "keep_plan",
    "plan_path",
    "plans_directory",
    "points_at",
    "published_names",
    "put_plan",
    "put_registry",
]

PUBLISH_HOME = "metadata"
"""Data type under whose home the runs of stage publish lie."""


def plans_directory(layout: Layout) -> Path:
    """Return where copies of publication plans are kept; like manifests they outlive the runs."""
    return layout.state / "plans"


def plan_path(layout: Layout, task: str) -> Path:
    """Return the copy of the plan that a publish run made."""
    return plans_directory(layout) / f"{task}.json"


def keep_plan(layout: Layout, task: str) -> Plan | None:
    """Copy the plan of a publish run to the state directory, with the run's own products as further items.

    Returns
    -------
    Plan or None
        None if the run is not on staging (its plan was kept before) or has no plan.
    """
    run = layout.run(PUBLISH_HOME, task)
    if not (run / MANIFEST).is_file():
        return None
    manifest = read_record(run / MANIFEST, Manifest)
    path = next((p.path for p in manifest.products if p.role == "plan"), None)
    if path is None:
        return None
    plan = read_record(run / path, Plan)
    own = [
        plan_item(p, task, plan.group, plan.date, directory=False) for p in manifest.products if p.type == PUBLISH_HOME
    ]
    full = plan.model_copy(update={"items": (*plan.items, *own)})
    crash.point("keeper.plan.write")
    write_record(plan_path(layout, task), full.model_dump_json())
    crash.point("keeper.plan.done")
    return full


def put_plan(index: Index, task: str, plan: Plan, stamp: str) -> None:
    """Index under which names a publish run wanted to see which products."""
    rows = [
        {
            "plan": task,
            "group_id": plan.group,
            "s3_key": item.key,
            **item.model_dump(include={"type", "task", "path", "name"}),
        }
        for item in (plan.items if plan.publish else ())
    ]
    with index.begin("data_registry") as connection:
        connection.execute(delete(publications).where(publications.c.plan == task))
        upsert(connection, publications, rows)
        upsert(connection, plans, [{"task": task, "group_id": plan.group, "stamp": stamp}])
        crash.point("keeper.index.plan")


def points_at(name: Path, target: Path) -> bool:
    """Say whether a name (hard link or symlink) leads to a file or directory."""
    try:
        return os.path.samestat(name.stat(), target.stat())
    except OSError:
        return False


def _archive_home(layout: Layout, data_type: str) -> Path:
    return layout.archive / DATA_TYPES[data_type].archive


def published_names(index: Index, layout: Layout, task: str) -> dict[Path, str]:
    """Return the names that validated products of a run have on staging, with their paths inside the run."""
    rows = index.rows("data_registry", publications.select().where(publications.c.task == task))
    return {layout.products / DATA_TYPES[row["type"]].archive / row["name"]: row["path"] for row in rows}


def _where(layout: Layout, item: dict[str, Any]) -> tuple[str, Path | None]:
    """Return status and path of a product in the archive; the newest version of a name is the one it leads to."""
    home = _archive_home(layout, item["type"])
    kept = home / ".runs" / item["task"] / item["path"]
    if not kept.exists():
        return "", None
    return ("published", home / item["name"]) if points_at(home / item["name"], kept) else ("superseded", kept)


def put_registry(index: Index, layout: Layout, manifest: Manifest, home: str, *, present: bool) -> None:
    """Write the rows of a run's products in ``data_registry``."""
    base = layout.run(home, manifest.task)
    items = index.rows("data_registry", publications.select().where(publications.c.task == manifest.task))
    rows = []
    for product in manifest.products:
        found = [(*_where(layout, item), item["s3_key"]) for item in items if item["path"] == product.path]
        status, where, key = min(found, default=("", None, ""), key=lambda place: (not place[0], place[0]))
        rows.append({
            "task": manifest.task,
            "path": product.path,
            "data_type": product.type,
            "data_id": product.id,
            "role": product.role,
            "status": status or ("staging" if present else "released"),
            "stage_path": str(base / product.path) if present else "",
            "published_path": "" if where is None else str(where),
            "s3_key": key if status else "",
            "names": "\n".join(product.names),
            "group_id": manifest.group,
            "verdict": manifest.verdict.value,
            "created_at": text(manifest.finished),
            "published_at": "" if where is None else text(datetime.fromtimestamp(where.stat().st_ctime, UTC)),
        })  # fmt: skip
    with index.begin("data_registry") as connection:
        upsert(connection, data_registry, rows)
        crash.point("keeper.index.registry")


def is_current(index: Index, layout: Layout, record: GroupRecord) -> bool:
    """Say whether every published name still leads to what this record published; nothing published is current."""
    if not record.published:
        return True
    items = index.rows("data_registry", select(publications).where(publications.c.plan == record.task))
    return all(_where(layout, item)[0] == "published" for item in items)
