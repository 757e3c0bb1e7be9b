"""Records become rows: one transaction per batch and database."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from contimg.keeper.index import Index, put
from contimg.keeper.schema import instrument_databases
from contimg.models.fact import GroupRecord, Offer
from contimg.models.instrument import instruments
from contimg.models.manifest import AttemptRecord, Manifest
from contimg.models.observation import ObservationRecord, QuarantineRecord
from contimg.models.plan import Plan
from contimg.models.spec import data_types, specs
from contimg.volume.layout import Layout

__all__ = [
    "Document",
    "home_of",
    "offer_of",
    "put_attempts",
    "put_groups",
    "put_observations",
    "put_plans",
    "put_quarantine",
    "put_runs",
    "run_homes",
    "run_path",
    "text",
]

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class Document(Generic[R]):
    """A record as it was read from a file."""

    name: str
    """File name without ``.json``."""
    date: str
    """Directory it lies in, if the records of its kind lie by date."""
    stamp: str
    content: str
    record: R


def text(time: datetime | None) -> str:
    """Return a time as ISO 8601 in UTC; empty for None."""
    return "" if time is None else time.isoformat()


def home_of(manifest: Manifest) -> str:
    """Return the data type under whose home a run lies: as its stage declares, else that of its first product."""
    if manifest.stage in specs():
        return specs()[manifest.stage].home
    return manifest.products[0].type if manifest.products else ""


def run_homes(layout: Layout) -> dict[str, str]:
    """Return the directories of committed runs by data type; plain strings, as thousands of paths are made of them."""
    return {name: str(layout.runs(name)) for name in data_types()}


def run_path(homes: Mapping[str, str], home: str, task: str) -> str:
    """Return the directory of a run; empty when no installed stage has this home."""
    return f"{homes[home]}/{task}" if home in homes else ""


def offer_of(manifest: Manifest) -> Offer | None:
    """Return what a run offers other groups, as the info of its stage says."""
    if manifest.stage not in specs():
        return None
    try:
        key = specs()[manifest.stage].info.model_validate(manifest.info).offer()
        if key is None:
            return None
        mine = {"task": manifest.task, "stage": manifest.stage, "group": manifest.group, "verdict": manifest.verdict}
        return Offer.model_validate(key.model_dump() | mine)
    except ValidationError:
        return None  # info of an older release: nothing that others could use


def put_runs(index: Index, layout: Layout, batch: Sequence[Document[Manifest]], seen: str = "") -> None:
    """Index runs: what they offer, their products, last the runs themselves, so that a crash leaves them to be redone.

    Parameters
    ----------
    seen
        Stamp of the manifest in the run directory if that was just compared with the record.
    """
    homes = run_homes(layout)
    tasks = [(item.record.task,) for item in batch]
    with index.begin("cal_registry") as connection:
        connection.executemany("DELETE FROM offers WHERE task = ?", tasks)
        put(connection, "offers", [row for item in batch for row in _offer_rows(item.record)])
    with index.begin("data_registry") as connection:
        connection.executemany("DELETE FROM data_registry WHERE task = ?", tasks)
        put(connection, "data_registry", [row for item in batch for row in _product_rows(item.record)])
    for name in instrument_databases():
        _tell(index, name, [item.record for item in batch])
    marks = [(item.record.task, text(datetime.now(UTC))) for item in batch]
    with index.begin("products") as connection:
        connection.executemany("INSERT OR IGNORE INTO wanted (task, at) VALUES (?, ?)", marks)
        put(connection, "runs", [_run_row(homes, item, seen) for item in batch])


def _run_row(homes: Mapping[str, str], item: Document[Manifest], seen: str) -> dict[str, Any]:
    home = home_of(item.record)
    path = run_path(homes, home, item.record.task)
    kept = bool(path) and os.path.exists(path)  # noqa: PTH110 - thousands of them
    fields = ("task", "stage", "unit", "group", "verdict", "finished")
    return _row(item, *fields, home=home, kept=kept, seen=seen)


def _offer_rows(manifest: Manifest) -> list[dict[str, Any]]:
    offer = offer_of(manifest)
    if offer is None:
        return []
    item = Document(manifest.task, manifest.date, "", offer.model_dump_json(), offer)
    return [_row(item, "task", "stage", "key", "at", "position_deg", "group", "verdict", home=home_of(manifest))]


def _row(item: Document[Any], *fields: str, **more: Any) -> dict[str, Any]:
    """Return the row of a document: columns are fields of the record; ``group`` is ``group_id``, a word SQL allows."""
    found = {f"{name}_id" if name == "group" else name: _plain(getattr(item.record, name)) for name in fields}
    return found | {"date": item.date, "stamp": item.stamp, "record": item.content} | more


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return text(value)
    return value.value if isinstance(value, Enum) else value


def _product_rows(manifest: Manifest) -> list[dict[str, Any]]:
    run = {name: _plain(getattr(manifest, name)) for name in ("task", "stage", "date", "verdict")}
    run |= {"home": home_of(manifest), "group_id": manifest.group, "created_at": text(manifest.finished)}
    names = {"type": "data_type", "id": "data_id", "path": "path", "role": "role", "bytes": "bytes", "sha256": "sha256"}
    return [run | {column: getattr(item, name) for name, column in names.items()} for item in manifest.products]


def put_attempts(index: Index, batch: Sequence[Document[AttemptRecord]]) -> None:
    """Index tries; the stamp of each is that of its task's directory."""
    fields = ("task", "number", "stage", "unit", "group", "state", "started")
    with index.begin("products") as connection:
        put(connection, "attempts", [_row(item, *fields) for item in batch])


def put_observations(index: Index, _layout: Layout, batch: Sequence[Document[ObservationRecord]]) -> None:
    """Index recordings and the names of their files."""
    for name in instrument_databases():
        _tell(index, name, [item.record for item in batch if item.record.instrument == name])
    files = [
        {"name": file.path.partition("#")[0].rpartition("/")[2], "observation": item.record.id}
        for item in batch
        for file in item.record.files
    ]
    fields = ("id", "instrument", "state", "role", "start")
    with index.begin("ingest") as connection:
        put(connection, "files", files)
        put(connection, "observations", [_row(item, *fields) for item in batch])


def _tell(index: Index, instrument: str, records: Sequence[ObservationRecord | Manifest]) -> None:
    """Let an instrument write the rows of its own database."""
    if records:
        with index.begin(instrument) as connection:
            instruments()[instrument].index(connection, records)


def put_quarantine(index: Index, _layout: Layout, batch: Sequence[Document[QuarantineRecord]]) -> None:
    """Index raw files that were refused."""
    with index.begin("ingest") as connection:
        put(connection, "quarantine", [_row(item, "reason", "time", name=item.name) for item in batch])


def put_groups(index: Index, _layout: Layout, batch: Sequence[Document[GroupRecord]]) -> None:
    """Index what became of groups."""
    with index.begin("data_registry") as connection:
        put(connection, "groups", [_row(item, "group") for item in batch])


def put_plans(index: Index, _layout: Layout, batch: Sequence[Document[Plan]]) -> None:
    """Index under which names groups wanted to see which products."""
    items = [
        {"plan": doc.name, "s3_key": item.key, **item.model_dump(include={"task", "path", "type", "name"})}
        for doc in batch
        for item in (doc.record.items if doc.record.publish else ())
    ]
    with index.begin("data_registry") as connection:
        connection.executemany("DELETE FROM publications WHERE plan = ?", [(item.name,) for item in batch])
        put(connection, "publications", items)
        put(connection, "plans", [_row(item, task=item.name) for item in batch])
