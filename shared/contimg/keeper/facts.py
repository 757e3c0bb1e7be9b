"""What the engine decides on, held in memory and filled from the indexes; only locks and names are looked up anew."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from contimg.errors import by_name
from contimg.keeper.index import Index
from contimg.keeper.rows import run_fact
from contimg.keeper.tables import attempts, caltables, groups, observations, runs
from contimg.limits import ProtocolLimits
from contimg.models.fact import GroupRecord, IngestFact, RunFact, TableFact, TryFact
from contimg.models.manifest import AttemptRecord, AttemptState, Manifest
from contimg.models.observation import ObservationRecord
from contimg.models.task import Limits
from contimg.volume.attempt import tally
from contimg.volume.layout import Layout

__all__ = ["Memory", "lock_is_live", "try_fact", "window"]


@dataclass
class Memory:
    """The indexed models of one shard; thousands of runs are answered from it without reading a database."""

    runs: dict[str, RunFact] = field(default_factory=dict)
    attempts: dict[str, dict[int, AttemptRecord]] = field(default_factory=dict)
    observations: dict[str, ObservationRecord] = field(default_factory=dict)
    stamps: dict[str, str] = field(default_factory=dict)
    """Of the observation records held."""
    tables: dict[str, TableFact] = field(default_factory=dict)
    groups: dict[str, GroupRecord] = field(default_factory=dict)
    ingest: IngestFact = field(default_factory=IngestFact)

    def load(self, index: Index) -> None:
        """Replace everything (but where ingest stands) by what the databases hold."""
        self.runs = {row["task"]: _run(row) for row in index.rows("products", runs.select())}
        self.attempts = {}
        for row in index.rows("products", attempts.select()):
            record = AttemptRecord.model_validate_json(row["record"])
            self.attempts.setdefault(record.task, {})[record.number] = record
        self.load_observations(index)
        own = index.rows("cal_registry", caltables.select().where(caltables.c.own))
        self.tables = {row["task"]: _table(row["record"], present=row["present"]) for row in own}
        records = index.rows("data_registry", groups.select())
        self.groups = {row["group_id"]: GroupRecord.model_validate_json(row["record"]) for row in records}

    def load_observations(self, index: Index) -> None:
        """Take over the observation records that are new or changed."""
        rows = index.rows("ingest", select(observations.c.id, observations.c.stamp))
        stamps = {row["id"]: row["stamp"] for row in rows}
        changed = [name for name, mark in stamps.items() if self.stamps.get(name) != mark]
        kept = {name: record for name, record in self.observations.items() if name in stamps}
        for name in changed:
            row = index.rows("ingest", select(observations.c.record).where(observations.c.id == name))[0]
            kept[name] = ObservationRecord.model_validate_json(row["record"])
        self.observations, self.stamps = kept, stamps


def _run(row: dict[str, object]) -> RunFact:
    return run_fact(Manifest.model_validate_json(str(row["manifest"])), str(row["home"]), present=bool(row["present"]))


def _table(record: str, *, present: bool) -> TableFact:
    return TableFact.model_validate_json(record).model_copy(update={"present": present})


def window(
    records: Iterable[ObservationRecord], start: float | None, end: float | None
) -> tuple[ObservationRecord, ...]:
    """Return the observations that start in [start, end) and the first one after, in time order.

    The one after matters: it closes the selection (P10). Times are Unix seconds; None leaves a side open.
    """
    ordered = sorted(records, key=lambda record: record.start)
    chosen: list[ObservationRecord] = []
    for record in ordered:
        begin = record.start.timestamp()
        if start is not None and begin < start:
            continue
        chosen.append(record)
        if end is not None and begin >= end:
            break
    return tuple(chosen)


def lock_is_live(lock: Path, fresh_s: float) -> bool:
    """Say whether a task's lock is held and was touched less than ``fresh_s`` seconds ago (P3).

    The probe asks for a shared lock and gives it back at once; the file is never made or changed.
    """
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if time.time() - os.fstat(handle).st_mtime > fresh_s:
            return False
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def try_fact(layout: Layout, records: Iterable[AttemptRecord], limits: ProtocolLimits) -> TryFact:
    """Count the tries of the highest round at one task (P3).

    Parameters
    ----------
    records
        All attempt records of one task, at least one.
    """
    known = sorted(records, key=lambda record: record.number)
    count = tally(known, 0)
    last = [record for record in known if record.round == count.round][-1]
    hopeless = not by_name(last.error).retryable or count.failed >= Limits().tries or count.lost >= limits.lost_cap
    return TryFact(
        task=last.task,
        round=count.round,
        failed=count.failed,
        lost=count.lost,
        running=last.state is AttemptState.RUNNING and lock_is_live(layout.locks / last.task, limits.lock_fresh_s),
        final=last.state is AttemptState.FAILED and hopeless,
        last=last,
    )
