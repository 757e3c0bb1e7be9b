"""From models to rows, and into the databases. Every function may be called again with the same model."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete

from contimg import crash
from contimg.keeper.index import Index, upsert
from contimg.keeper.tables import (
    attempts,
    caltables,
    data_relationships,
    figures,
    files,
    groups,
    observations,
    products,
    runs,
)
from contimg.models.fact import GroupRecord, RunFact, TableFact
from contimg.models.manifest import AttemptRecord, Manifest
from contimg.models.observation import ObservationRecord
from contimg.volume.layout import DATA_TYPES

__all__ = [
    "home_of",
    "put_attempt",
    "put_group",
    "put_manifest",
    "put_observation",
    "run_fact",
    "set_present",
    "table_fact",
    "text",
]

VALIDITY = timedelta(hours=24)
"""Around its transit a bandpass serves other groups without being called borrowed (contracts.md, stage 4)."""


def text(time: datetime | None) -> str:
    """Return a time as ISO 8601 in UTC; empty for None."""
    return "" if time is None else time.isoformat()


def home_of(stage: str) -> str:
    """Return the data type under whose home the runs of a stage lie; ``metadata`` for an unknown stage."""
    return next((row.name for row in DATA_TYPES.values() if row.stage == stage), "metadata")


def run_fact(manifest: Manifest, home: str, *, present: bool) -> RunFact:
    """Return what the engine needs to know of a run."""
    return RunFact(
        task=manifest.task,
        stage=manifest.stage,
        unit=manifest.unit,
        home=home,
        present=present,
        verdict=manifest.verdict,
        figures=manifest.figures,
        info=manifest.info,
        finished=manifest.finished,
        wall_s=manifest.usage.wall_s,
    )


def table_fact(manifest: Manifest, *, present: bool) -> TableFact | None:
    """Return the bandpass that other groups may use: solved here from a calibrator of a known transit."""
    info = manifest.info
    solved = any(p.type == "calibration_table" and p.role == "bpcal" for p in manifest.products)
    if not solved or info.get("mode") != "own":
        return None
    try:
        return TableFact(
            task=manifest.task,
            group=manifest.group,
            calibrator=info.get("calibrator"),
            transit=info.get("transit"),
            dec_deg=info.get("dec_deg"),
            verdict=manifest.verdict,
            present=present,
        )
    except ValidationError:
        return None  # solved from scans of a pointed array: nothing that other groups could use


def _run_row(manifest: Manifest, home: str, *, present: bool, stamp: str, now: datetime) -> dict[str, Any]:
    return {
        "task": manifest.task,
        "stage": manifest.stage,
        "unit": manifest.unit,
        "group_id": manifest.group,
        "home": home,
        "date": manifest.date,
        "verdict": manifest.verdict.value,
        "present": present,
        "version": manifest.version,
        "recipe_version": manifest.recipe_version,
        "attempt": manifest.attempt,
        "host": manifest.host,
        "started": text(manifest.started),
        "finished": text(manifest.finished),
        "wall_s": manifest.usage.wall_s,
        "cpu_s": manifest.usage.cpu_s,
        "peak_bytes": manifest.usage.peak_bytes,
        "wanted_at": text(now),
        "manifest": manifest.model_dump_json(),
        "stamp": stamp,
    }


def _product_rows(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {"task": manifest.task, **p.model_dump(include={"path", "type", "id", "role", "bytes", "sha256"})}
        for p in manifest.products
    ]


def _figure_rows(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "task": manifest.task,
            "name": f.name,
            "value": f.value,
            "unit": f.unit,
            "limit_words": f.limit,
            "verdict": f.verdict.value,
        }
        for f in {figure.name: figure for figure in manifest.figures}.values()
    ]


def put_manifest(index: Index, manifest: Manifest, home: str, *, present: bool, stamp: str, now: datetime) -> None:
    """Index a run: its row, products, figures, calibration tables and relationships."""
    with index.begin("products") as connection:
        for table in (products, figures):
            connection.execute(delete(table).where(table.c.task == manifest.task))
        row = _run_row(manifest, home, present=present, stamp=stamp, now=now)
        upsert(connection, runs, [row], keep=("wanted_at",))
        upsert(connection, products, _product_rows(manifest))
        upsert(connection, figures, _figure_rows(manifest))
        crash.point("keeper.index.products")
    _put_caltables(index, manifest, present=present)
    with index.begin("data_registry") as connection:
        rows = [{"parent": i.task, "child": manifest.task, "kind": i.home} for i in manifest.inputs]
        connection.execute(delete(data_relationships).where(data_relationships.c.child == manifest.task))
        upsert(connection, data_relationships, rows)
        crash.point("keeper.index.relationships")


def _put_caltables(index: Index, manifest: Manifest, *, present: bool) -> None:
    tables = [p for p in manifest.products if p.type == "calibration_table"]
    if not tables:
        return
    fact = table_fact(manifest, present=present)
    common = {
        "task": manifest.task,
        "group_id": manifest.group,
        "calibrator": str(manifest.info.get("calibrator") or ""),
        "transit": text(fact.transit) if fact else "",
        "dec_deg": fact.dec_deg if fact else None,
        "valid_start": text(fact.transit - VALIDITY) if fact else "",
        "valid_end": text(fact.transit + VALIDITY) if fact else "",
        "verdict": manifest.verdict.value,
        "present": present,
        "own": fact is not None,
        "record": fact.model_dump_json() if fact else "",
    }
    with index.begin("cal_registry") as connection:
        upsert(connection, caltables, [{**common, "path": p.path, "table_type": p.role} for p in tables])
        crash.point("keeper.index.caltables")


def set_present(index: Index, task: str, *, present: bool, stamp: str) -> None:
    """Note that the directory of a run is there or is gone."""
    with index.begin("products") as connection:
        connection.execute(runs.update().where(runs.c.task == task).values(present=present, stamp=stamp))
    with index.begin("cal_registry") as connection:
        connection.execute(caltables.update().where(caltables.c.task == task).values(present=present))


def put_attempt(index: Index, record: AttemptRecord, stamp: str) -> None:
    """Index one try at a task."""
    row = {
        "task": record.task,
        "number": record.number,
        "round": record.round,
        "stage": record.stage,
        "unit": record.unit,
        "group_id": record.group,
        "state": record.state.value,
        "host": record.host,
        "pid": record.pid,
        "started": text(record.started),
        "finished": text(record.finished),
        "error": record.error,
        "message": record.message,
        "counted": record.counted,
        "wall_s": record.usage.wall_s,
        "record": record.model_dump_json(),
        "stamp": stamp,
    }
    with index.begin("products") as connection:
        upsert(connection, attempts, [row])
        crash.point("keeper.index.attempt")


def put_observation(index: Index, record: ObservationRecord, stamp: str) -> None:
    """Index one recording and its files."""
    plain = {"id", "telescope", "integrations", "integration_s", "ra_deg", "dec_deg", "source", "bytes"}
    row = {
        **record.model_dump(include=plain | {"expected", "digest"}),
        "state": record.state.value,
        "role": record.role.value,
        "start": text(record.start),
        "end": text(record.end),
        "found": len(record.files),
        "sealed_at": text(record.sealed_at),
        "reasons": "; ".join(record.reasons),
        "record": record.model_dump_json(),
        "stamp": stamp,
    }
    with index.begin("ingest") as connection:
        connection.execute(delete(files).where(files.c.observation == record.id))
        upsert(connection, observations, [row])
        rows = [{"observation": record.id, "ordinal": n, **f.model_dump()} for n, f in enumerate(record.files)]
        upsert(connection, files, rows)
        crash.point("keeper.index.observation")


def put_group(index: Index, record: GroupRecord, stamp: str) -> None:
    """Index what became of a group."""
    row = {
        "group_id": record.group,
        "spec_digest": record.spec_digest,
        "task": record.task,
        "published": record.published,
        "reason": record.reason,
        "verdict": record.verdict.value,
        "at": text(record.at),
        "record": record.model_dump_json(),
        "stamp": stamp,
    }
    with index.begin("data_registry") as connection:
        upsert(connection, groups, [row])
        crash.point("keeper.index.group")
