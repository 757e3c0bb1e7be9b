"""Tables of the four databases: documents (JSON as it lies on disk) with the columns that are searched.

They hold nothing that is not on disk in a manifest or a record. ``date`` is the directory a record was read from,
``stamp`` the size and modification time of its file. No column knows a stage, a telescope or a format.
"""

from __future__ import annotations

from contimg.limits import DAY_S
from contimg.models.instrument import instruments

__all__ = ["DATABASES", "SCHEMA_VERSION", "WANTED_KEPT_S", "instrument_databases"]

SCHEMA_VERSION = 2
"""Stored in ``user_version``; another number means: move aside, build again."""

WANTED_KEPT_S = 2 * DAY_S
"""Older marks of ``wanted`` say nothing any more."""

_PLACES = """
CREATE TABLE places (source TEXT, date TEXT, mtime INTEGER NOT NULL, PRIMARY KEY (source, date)) WITHOUT ROWID;
"""

DATABASES: dict[str, str] = {
    "ingest": _PLACES
    + """
CREATE TABLE observations (
    id TEXT PRIMARY KEY, instrument TEXT NOT NULL, date TEXT NOT NULL, state TEXT NOT NULL, role TEXT NOT NULL,
    start TEXT NOT NULL, stamp TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX observations_start ON observations (start, id, instrument, role);
CREATE INDEX observations_date ON observations (date);
CREATE TABLE files (name TEXT, observation TEXT, PRIMARY KEY (name, observation)) WITHOUT ROWID;
CREATE TABLE quarantine (
    name TEXT, date TEXT, reason TEXT NOT NULL, time TEXT NOT NULL, stamp TEXT NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (date, name));
CREATE INDEX quarantine_time ON quarantine (time);
""",
    "products": _PLACES
    + """
CREATE TABLE runs (
    task TEXT PRIMARY KEY, stage TEXT NOT NULL, unit TEXT NOT NULL, group_id TEXT NOT NULL, date TEXT NOT NULL,
    home TEXT NOT NULL, verdict TEXT NOT NULL, finished TEXT NOT NULL, kept INTEGER NOT NULL, seen TEXT NOT NULL,
    stamp TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX runs_unit ON runs (unit, stage);
CREATE INDEX runs_group ON runs (group_id);
CREATE INDEX runs_date ON runs (date);
CREATE INDEX runs_due ON runs (home, finished) WHERE kept;
CREATE TABLE attempts (
    task TEXT, number INTEGER, stage TEXT NOT NULL, unit TEXT NOT NULL, group_id TEXT NOT NULL, state TEXT NOT NULL,
    started TEXT NOT NULL, date TEXT NOT NULL, stamp TEXT NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (task, number));
CREATE INDEX attempts_unit ON attempts (unit, stage);
CREATE INDEX attempts_started ON attempts (started);
CREATE TABLE wanted (task TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE damaged (
    path TEXT PRIMARY KEY, source TEXT NOT NULL, date TEXT NOT NULL, sentence TEXT NOT NULL) WITHOUT ROWID;
""",
    "cal_registry": """
CREATE TABLE offers (
    task TEXT PRIMARY KEY, stage TEXT NOT NULL, key TEXT NOT NULL, at TEXT NOT NULL, position_deg REAL NOT NULL,
    group_id TEXT NOT NULL, verdict TEXT NOT NULL, home TEXT NOT NULL, date TEXT NOT NULL, stamp TEXT NOT NULL,
    record TEXT NOT NULL);
CREATE INDEX offers_at ON offers (stage, at, position_deg);
""",
    "data_registry": _PLACES
    + """
CREATE TABLE data_registry (
    task TEXT, path TEXT, data_type TEXT NOT NULL, data_id TEXT NOT NULL, role TEXT NOT NULL, home TEXT NOT NULL,
    stage TEXT NOT NULL, date TEXT NOT NULL, group_id TEXT NOT NULL, verdict TEXT NOT NULL, bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL, created_at TEXT NOT NULL,
    PRIMARY KEY (task, path));
CREATE INDEX data_registry_created ON data_registry (created_at, task, path);
CREATE INDEX data_registry_sha256 ON data_registry (sha256);
CREATE TABLE groups (group_id TEXT PRIMARY KEY, date TEXT NOT NULL, stamp TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE plans (task TEXT PRIMARY KEY, date TEXT NOT NULL, stamp TEXT NOT NULL, record TEXT NOT NULL);
CREATE TABLE publications (
    plan TEXT, task TEXT, path TEXT, type TEXT NOT NULL, name TEXT NOT NULL, s3_key TEXT NOT NULL,
    PRIMARY KEY (plan, task, path)) WITHOUT ROWID;
CREATE INDEX publications_task ON publications (task, path);
""",
}
"""What makes each database, by its name."""


def instrument_databases() -> dict[str, int]:
    """Return the instruments that keep a database of their own (hook ``index``) with the version of its tables."""
    return {name: item.index_version for name, item in instruments().items() if item.index_version}
