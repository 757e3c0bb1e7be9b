"""Questions people ask: what is there, what failed, where does this file come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field
from sqlalchemy import Select, Table, and_, or_, select

from contimg.errors import BadInput
from contimg.keeper.index import Index
from contimg.keeper.tables import (
    attempts,
    damaged,
    data_registry,
    figures,
    files,
    groups,
    observations,
    products,
    quarantine,
    runs,
)
from contimg.models.base import Model
from contimg.models.manifest import InputRef, Manifest
from contimg.volume.files import sha256_file

__all__ = ["Lineage", "Queries", "Step"]

Rows = list[dict[str, Any]]
HIDDEN = {"record", "manifest", "stamp", "wanted_at"}


class Step(Model):
    """One run on the way from a product back to the raw files."""

    task: str
    stage: str
    unit: str
    group: str
    version: str
    recipe_version: int
    verdict: str
    finished: str
    present: bool
    params: dict[str, Any] = Field(default_factory=dict)
    inputs: tuple[InputRef, ...] = ()
    raw: tuple[str, ...] = ()


class Lineage(Model):
    """Where a file comes from."""

    path: str
    """As it was asked for."""
    product: str
    """Id of the product; of a raw file the observations it belongs to."""
    sha256: str = ""
    steps: tuple[Step, ...] = ()
    """The run that made it, then its inputs back to the raw files; each run once."""
    raw: tuple[str, ...] = ()
    """Raw files, relative to ``incoming/``."""
    used_by: tuple[str, ...] = ()
    """Of a raw file: the runs that read it."""


def _columns(table: Table) -> Select[Any]:
    return select(*(column for column in table.columns if column.name not in HIDDEN))


class Queries:
    """Read-only questions to an open index; rows are plain dictionaries with stable keys."""

    def __init__(self, index: Index) -> None:
        self.index = index

    def _rows(self, database: str, table: Table, order: str, **equal: Any) -> Rows:
        chosen = [table.c[name] == value for name, value in equal.items() if value is not None]
        return self.index.rows(
            database, _columns(table).where(and_(True, *chosen)).order_by(table.c[order], *table.primary_key)
        )

    def runs(self, stage: str | None = None, unit: str | None = None, group: str | None = None) -> Rows:
        """Return committed runs in the order they finished."""
        return self._rows("products", runs, "finished", stage=stage, unit=unit, group_id=group)

    def run(self, task: str) -> Manifest | None:
        """Return the manifest of a run, also of one that was cleaned up; an unambiguous begin of the id will do."""
        chosen = select(runs.c.manifest).where(runs.c.task.startswith(task, autoescape=True))
        found = self.index.rows("products", chosen.limit(2))
        return Manifest.model_validate_json(found[0]["manifest"]) if len(found) == 1 else None

    def figures(self, task: str) -> Rows:
        """Return the measured figures of a run."""
        return self._rows("products", figures, "name", task=task)

    def products(
        self, data_type: str | None = None, status: str | None = None, group: str | None = None, task: str | None = None
    ) -> Rows:
        """Return products with status ``staging``, ``published``, ``superseded`` or ``released``."""
        return self._rows(
            "data_registry", data_registry, "created_at", data_type=data_type, status=status, group_id=group, task=task
        )

    def attempts(self, task: str | None = None, group: str | None = None, state: str | None = None) -> Rows:
        """Return tries in the order they started."""
        return self._rows("products", attempts, "started", task=task, group_id=group, state=state)

    def observations(self, state: str | None = None, start: str | None = None, end: str | None = None) -> Rows:
        """Return recordings in time order; ``start`` and ``end`` bound their ids: [start, end)."""
        chosen = _columns(observations).order_by(observations.c.start)
        if state is not None:
            chosen = chosen.where(observations.c.state == state)
        if start is not None:
            chosen = chosen.where(observations.c.id >= start)
        if end is not None:
            chosen = chosen.where(observations.c.id < end)
        return self.index.rows("ingest", chosen)

    def quarantined(self) -> Rows:
        """Return raw files that were refused, with reasons."""
        return self._rows("ingest", quarantine, "time")

    def groups(self) -> Rows:
        """Return what became of the groups that reached the end."""
        return self._rows("data_registry", groups, "group_id")

    def damaged(self) -> Rows:
        """Return runs and records that the last scan could not use, in sentences."""
        return self._rows("products", damaged, "path")

    def trace(self, path: Path) -> Lineage:
        """Return where a file comes from: a product, its published copy, a copy of that, or a raw file.

        Raises
        ------
        BadInput
            If it is none of these.
        """
        found = self._by_place(path) or self._by_content(path)
        if found is not None:
            return self._lineage(path, *found)
        raw = self._raw(path)
        if raw is None:
            known = "a product, a published file, a copy of one, or a raw file"
            raise BadInput(f"{path} is not known here: it is neither {known}; check the path and --data-base")
        return raw

    def _by_place(self, path: Path) -> tuple[str, str] | None:
        """Find a product by its path: named by its run, or by the names on staging and in the archive."""
        real, shown = path.resolve(), path.absolute()
        parts = real.parts
        if ".runs" in parts and parts.index(".runs") + 2 <= len(parts) - 1:
            at = parts.index(".runs")
            inside = "/".join(parts[at + 2 :])
            known = self.index.rows("products", select(products.c.path).where(products.c.task == parts[at + 1]))
            hit = next((r["path"] for r in known if inside == r["path"] or inside.startswith(r["path"] + "/")), None)
            return None if hit is None else (parts[at + 1], hit)
        column = data_registry.c
        match = or_(column.published_path == str(shown), column.published_path == str(real))
        rows = self.index.rows("data_registry", select(column.task, column.path).where(match))
        return (rows[0]["task"], rows[0]["path"]) if rows else None

    def _by_content(self, path: Path) -> tuple[str, str] | None:
        """Find a product by the checksum of a file: wherever it was copied to, it is the same product."""
        if not path.is_file():
            return None
        same = select(products.c.task, products.c.path).where(products.c.sha256 == sha256_file(path))
        rows = self.index.rows("products", same.where(products.c.bytes == path.stat().st_size))
        return (rows[0]["task"], rows[0]["path"]) if rows else None

    def _lineage(self, path: Path, task: str, inside: str) -> Lineage:
        steps: dict[str, Step] = {}
        waiting = [task]
        while waiting:
            manifest = None if waiting[0] in steps else self.run(waiting[0])
            waiting.pop(0)
            if manifest is not None:
                steps[manifest.task] = self._step(manifest)
                waiting += [ref.task for ref in manifest.inputs]
        row = self.index.rows("products", products.select().where(products.c.task == task, products.c.path == inside))
        raw = tuple(dict.fromkeys(name for step in steps.values() for name in step.raw))
        return Lineage(
            path=str(path), product=row[0]["id"], sha256=row[0]["sha256"], steps=tuple(steps.values()), raw=raw
        )

    def _step(self, manifest: Manifest) -> Step:
        row = self.index.rows("products", select(runs.c.present).where(runs.c.task == manifest.task))[0]
        same = {"task", "stage", "unit", "group", "version", "recipe_version", "params", "inputs", "raw"}
        return Step(
            **manifest.model_dump(include=same),
            verdict=manifest.verdict.value,
            finished=manifest.finished.isoformat(),
            present=row["present"],
        )

    def _raw(self, path: Path) -> Lineage | None:
        """Find a raw file by the end of its path, and the runs that read the observation."""
        real = path.resolve()
        chosen = select(files.c.observation, files.c.path).where(files.c.path.endswith(real.name, autoescape=True))
        hits = [row for row in self.index.rows("ingest", chosen) if _ends_with(real, row["path"])]
        if not hits:
            return None
        names = sorted({row["observation"] for row in hits})
        readers = select(runs.c.task).where(runs.c.unit.in_(names), runs.c.stage == "convert")
        used = tuple(row["task"] for row in self.index.rows("products", readers.order_by(runs.c.task)))
        return Lineage(path=str(path), product=", ".join(names), raw=(hits[0]["path"],), used_by=used)


def _ends_with(real: Path, recorded: str) -> bool:
    """Compare whole path parts: the record is relative to ``incoming/``, or absolute."""
    parts = Path(recorded.split("#", maxsplit=1)[0]).parts
    return real.parts[-len(parts) :] == parts
