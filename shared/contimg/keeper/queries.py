"""Questions people ask: what is there, what failed, where does this file come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from contimg.errors import BadConfig, BadInput
from contimg.keeper.documents import run_homes, run_path
from contimg.keeper.facts import lock_is_live
from contimg.keeper.index import Index, Row
from contimg.keeper.published import product_rows
from contimg.limits import ProtocolLimits
from contimg.models.base import Model
from contimg.models.manifest import AttemptState, InputRef, Manifest
from contimg.models.observation import ObservationRecord
from contimg.volume import disk
from contimg.volume.attempt import MANIFEST
from contimg.volume.layout import Layout

__all__ = ["LISTS", "LOST", "Chosen", "Lineage", "Queries", "Step"]

LOST = "lost"
"""State of an attempt whose record is open and whose worker is gone; the next one that gets the task closes it."""
BY_SUM = "sha256:"
"""Begin of a word that stands for a file with this checksum."""
PAGE = 500
"""Rows looked at together."""
Rows = Iterator[dict[str, Any]]


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
    """Raw files as the records name them."""
    used_by: tuple[str, ...] = ()
    """Of a raw file: the runs that read it."""


@dataclass(frozen=True)
class Chosen:
    """Which rows of a list are wanted; empty: all."""

    date: str = ""
    group: str = ""
    stage: str = ""
    state: str = ""
    after: str = ""
    """Go on after the row with this key."""


@dataclass(frozen=True)
class _List:
    """How one kind of thing is listed: in the order of ``order``, then of the key."""

    database: str
    table: str
    keys: tuple[str, ...]
    order: str
    filters: dict[str, str]
    """Column by filter; empty: the disk alone tells the state."""
    dress: Callable[[Queries, list[Row]], list[dict[str, Any]]]


class Queries:
    """Read-only questions to an open index; rows are plain dictionaries with stable keys.

    Each row has a ``key``, after which a list can go on.
    """

    def __init__(self, index: Index, layout: Layout) -> None:
        self.index = index
        self.layout = layout

    def rows(self, noun: str, chosen: Chosen | None = None) -> Rows:
        """List things of one kind (a key of ``LISTS``); rows are made as they are taken.

        Raises
        ------
        BadConfig
            If the things have no such property, or none has the key to go on after.
        """
        chosen = chosen or Chosen()
        kind = LISTS[noun]
        query, values = self._select(noun, kind, chosen)
        found = self.index.stream(kind.database, query, values)
        while batch := list(islice(found, PAGE)):
            for row, dressed in zip(batch, kind.dress(self, batch), strict=True):
                if chosen.state in {"", dressed.get("state", chosen.state)}:
                    yield {**dressed, "key": "/".join(str(row[name]) for name in kind.keys)}

    def _select(self, noun: str, kind: _List, chosen: Chosen) -> tuple[str, list[Any]]:
        where, values = ["1"], []
        for name in ("date", "group", "stage", "state"):
            word = AttemptState.RUNNING.value if (word := getattr(chosen, name)) == LOST else word
            if word and kind.filters.get(name):
                where.append(f"{kind.filters[name]} = ?")
                values.append(word)
            elif word and name not in kind.filters:
                raise BadConfig(f"{noun} have no {name}; {noun} are chosen by {', '.join(sorted(kind.filters))}")
        place = ", ".join((kind.order, *kind.keys))
        if chosen.after:
            where.append(f"({place}) > ({', '.join('?' * (1 + len(kind.keys)))})")
            values += self._place(noun, kind, chosen.after)
        return f"SELECT * FROM {kind.table} WHERE {' AND '.join(where)} ORDER BY {place}", values  # noqa: S608 - our names

    def _place(self, noun: str, kind: _List, after: str) -> list[Any]:
        keys = after.split("/", len(kind.keys) - 1)
        same = " AND ".join(f"{name} = ?" for name in kind.keys)
        query = f"SELECT {kind.order}, {', '.join(kind.keys)} FROM {kind.table} WHERE {same}"  # noqa: S608 - our names
        found = self.index.rows(kind.database, query, keys) if len(keys) == len(kind.keys) else []
        if not found:
            raise BadConfig(f"there are no {noun} with the key {after!r}; take the key of the last row shown")
        return list(found[0])

    def words(self, noun: str, column: str) -> set[str]:
        """Return which values the things of one kind have in a column: what a misspelt word is compared with."""
        kind = LISTS[noun]
        query = f"SELECT DISTINCT {column} FROM {kind.table}"  # noqa: S608 - our names
        return {str(row[column]) for row in self.index.rows(kind.database, query, ())}

    def run(self, task: str) -> Manifest | None:
        """Return the manifest of a run, also of one that was cleaned up; an unambiguous begin of the id will do."""
        found = self.index.rows(
            "products", "SELECT record FROM runs WHERE task BETWEEN ? AND ? LIMIT 2", (task, f"{task}~")
        )
        return Manifest.model_validate_json(found[0]["record"]) if len(found) == 1 else None

    def products(self, task: str) -> list[dict[str, Any]]:
        """Return the products of a run with state ``staging``, ``published``, ``superseded`` or ``released``."""
        query = "SELECT * FROM data_registry WHERE task = ? ORDER BY path"
        return product_rows(self.index, self.layout, self.index.rows("data_registry", query, (task,)))

    def damaged(self) -> list[dict[str, Any]]:
        """Return records that the keeper could not use, in sentences."""
        return [dict(row) for row in self.index.rows("products", "SELECT path, sentence FROM damaged ORDER BY path")]

    # -- lineage ----------------------------------------------------------------------------------------------------

    def trace(self, path: Path) -> Lineage:
        """Return where a file comes from: a product, its published copy, a copy of that, or a raw file.

        Instead of a file that lies elsewhere, ``sha256:<digits>`` stands for its content.

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
        """Find a product by where it really lies: ``…/.runs/<task>/<path inside>``."""
        parts = path.resolve().parts
        if ".runs" not in parts:
            return None
        place = len(parts) - 1 - parts[::-1].index(".runs")
        task, inside = parts[place + 1 : place + 2], parts[place + 2 :]
        query = "SELECT task, path FROM data_registry WHERE task = ? AND path = ?"
        for length in range(len(inside), 0, -1):  # a file inside a product that is a directory
            rows = self.index.rows("data_registry", query, (*task, "/".join(inside[:length])))
            if rows:
                return rows[0]["task"], rows[0]["path"]
        return None

    def _by_content(self, path: Path) -> tuple[str, str] | None:
        """Find a product by the checksum of a file: wherever it was copied to, it is the same product."""
        is_sum = str(path).startswith(BY_SUM)
        if not is_sum and not path.is_file():
            return None
        sha256 = str(path).removeprefix(BY_SUM) if is_sum else disk.sha256_file(path)
        rows = self.index.rows(
            "data_registry", "SELECT task, path FROM data_registry WHERE sha256 = ? LIMIT 1", (sha256,)
        )
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
        query = "SELECT data_id, sha256 FROM data_registry WHERE task = ? AND path = ?"
        row = self.index.rows("data_registry", query, (task, inside))[0]
        raw = tuple(dict.fromkeys(name for step in steps.values() for name in step.raw))
        return Lineage(
            path=str(path), product=row["data_id"], sha256=row["sha256"], steps=tuple(steps.values()), raw=raw
        )

    def _step(self, manifest: Manifest) -> Step:
        home = self.index.rows("products", "SELECT home FROM runs WHERE task = ?", (manifest.task,))[0]["home"]
        run = run_path(run_homes(self.layout), home, manifest.task)
        same = {"task", "stage", "unit", "group", "version", "recipe_version", "params", "inputs", "raw"}
        return Step(
            **manifest.model_dump(include=same),
            verdict=manifest.verdict.value,
            finished=manifest.finished.isoformat(),
            present=bool(run) and Path(run, MANIFEST).exists(),
        )

    def _raw(self, path: Path) -> Lineage | None:
        """Find a raw file by the end of its path, and the runs that read the observation."""
        real = path.resolve()
        query = "SELECT id, record FROM observations JOIN files ON observation = id WHERE name = ? ORDER BY id"
        rows = self.index.rows("ingest", query, (real.name,))
        records = [ObservationRecord.model_validate_json(row["record"]) for row in rows]
        hits = {item.id: file.path for item in records for file in item.files if _ends_with(real, file.path)}
        if not hits:
            return None
        used = sorted(task for name in hits for task in self._readers(name))
        return Lineage(path=str(path), product=", ".join(hits), raw=(next(iter(hits.values())),), used_by=tuple(used))

    def _readers(self, observation: str) -> Iterator[str]:
        for row in self.index.rows("products", "SELECT task, record FROM runs WHERE unit = ?", (observation,)):
            if json.loads(row["record"])["raw"]:
                yield row["task"]


def _ends_with(real: Path, recorded: str) -> bool:
    """Compare whole path parts: the record is relative to an incoming directory, or absolute."""
    parts = Path(recorded.split("#", maxsplit=1)[0]).parts
    return real.parts[-len(parts) :] == parts


# -- lists ----------------------------------------------------------------------------------------------------------


def _records(_queries: Queries, rows: list[Row]) -> list[dict[str, Any]]:
    return [json.loads(row["record"]) | {"date": row["date"]} for row in rows]


def _runs(queries: Queries, rows: list[Row]) -> list[dict[str, Any]]:
    shown = ("task", "stage", "unit", "group_id", "date", "home", "verdict", "finished")
    homes = run_homes(queries.layout)
    paths = [run_path(homes, row["home"], row["task"]) for row in rows]
    there = [bool(path) and Path(path, MANIFEST).exists() for path in paths]
    return [
        {**{name: row[name] for name in shown}, "state": "staging" if present else "released"}
        for row, present in zip(rows, there, strict=True)
    ]


def _attempts(queries: Queries, rows: list[Row]) -> list[dict[str, Any]]:
    fresh_s = ProtocolLimits().lock_fresh_s
    found = _records(queries, rows)
    for row in found:
        if row["state"] == AttemptState.RUNNING and not lock_is_live(queries.layout.locks / row["task"], fresh_s):
            row["state"] = LOST
    return found


def _products(queries: Queries, rows: list[Row]) -> list[dict[str, Any]]:
    return product_rows(queries.index, queries.layout, rows)


def _observations(queries: Queries, rows: list[Row]) -> list[dict[str, Any]]:
    found = _records(queries, rows)
    return [row | {"found": len(row["files"]), "reasons": "; ".join(row.get("reasons", []))} for row in found]


_MADE = {"date": "date", "group": "group_id", "stage": "stage", "state": ""}
_TRIED = _MADE | {"state": "state"}
_SEEN = {"date": "date", "state": "state"}
LISTS: dict[str, _List] = {
    "runs": _List("products", "runs", ("task",), "finished", _MADE, _runs),
    "products": _List("data_registry", "data_registry", ("task", "path"), "created_at", _MADE, _products),
    "attempts": _List("products", "attempts", ("task", "number"), "started", _TRIED, _attempts),
    "observations": _List("ingest", "observations", ("id",), "start", _SEEN, _observations),
    "quarantine": _List("ingest", "quarantine", ("date", "name"), "time", {**_SEEN, "state": "reason"}, _records),
}
"""What can be listed."""
