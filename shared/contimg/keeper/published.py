"""What became of products after their run: on staging, published, superseded or released. Read from the disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contimg import crash
from contimg.keeper.index import Index, upsert
from contimg.keeper.rows import text
from contimg.keeper.tables import data_registry
from contimg.layout import DATA_TYPES, Layout
from contimg.models.fact import GroupRecord
from contimg.models.manifest import Manifest, Product

__all__ = ["archive_home", "archived", "is_current", "points_at", "put_registry"]


def archive_home(layout: Layout, data_type: str) -> Path | None:
    """Return the directory of a data type in the archive; None if it is never published."""
    row = DATA_TYPES[data_type]
    return layout.archive / row.archive if row.archive else None


def points_at(name: Path, target: Path) -> bool:
    """Say whether a name (hard link or symlink) leads to a file or directory."""
    try:
        return os.path.samestat(name.stat(), target.stat())
    except OSError:
        return False


def archived(layout: Layout, task: str, product: Product) -> tuple[str, Path | None]:
    """Return status and published path of a product: ``published``, ``superseded`` or empty when not archived.

    The archive keeps its own ``.runs/<task>/``; the newest version of a name is the one that the name leads to.
    """
    home = archive_home(layout, product.type)
    kept = None if home is None else home / ".runs" / task / product.path
    if home is None or kept is None or not kept.exists():
        return "", None
    for name in product.names:
        if points_at(home / name, kept):
            return "published", home / name
    return ("superseded" if product.names else "published"), kept


def put_registry(index: Index, layout: Layout, manifest: Manifest, home: str, *, present: bool) -> None:
    """Write the rows of a run's products in ``data_registry``."""
    base = layout.run(home, manifest.task)
    rows: list[dict[str, Any]] = []
    for product in manifest.products:
        status, where = archived(layout, manifest.task, product)
        rows.append(
            {
                "task": manifest.task,
                "path": product.path,
                "data_type": product.type,
                "data_id": product.id,
                "role": product.role,
                "status": status or ("staging" if present else "released"),
                "stage_path": str(base / product.path) if present else "",
                "published_path": "" if where is None else str(where),
                "s3_key": _s3_key(manifest, product) if status else "",
                "names": "\n".join(product.names),
                "group_id": manifest.group,
                "verdict": manifest.verdict.value,
                "created_at": text(manifest.finished),
                "published_at": _written(where),
            }
        )
    with index.begin("data_registry") as connection:
        upsert(connection, data_registry, rows)
        crash.point("keeper.index.registry")


def _s3_key(manifest: Manifest, product: Product) -> str:
    """Return the key of contracts.md, stage 9: ``<type>/<date>/<task>/<file>``."""
    return f"{DATA_TYPES[product.type].archive}/{manifest.date}/{manifest.task}/{product.path}"


def _written(path: Path | None) -> str:
    return "" if path is None else text(datetime.fromtimestamp(path.stat().st_ctime, UTC))


def is_current(layout: Layout, record: GroupRecord, manifests: Iterable[Manifest]) -> bool:
    """Say whether the published names still lead to what this record published.

    Parameters
    ----------
    manifests
        Of the publish run and of its inputs.

    Products that are not in the archive say nothing: a group that was not published stays complete.
    """
    if not record.published:
        return True
    states = [archived(layout, m.task, p)[0] for m in manifests for p in m.products if p.names]
    return "superseded" not in states
