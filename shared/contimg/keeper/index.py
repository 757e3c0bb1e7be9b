"""Opening of the four SQLite indexes: checked, moved aside when they are of no use, never trusted as the truth."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool, StaticPool

from contimg.errors import BadConfig, Unavailable
from contimg.keeper.mounts import refuse_network
from contimg.keeper.tables import METADATA, SCHEMA_VERSION, VIEWS, runs
from contimg.volume.layout import Layout

__all__ = ["DATABASE_NAMES", "Index", "upsert"]

DATABASE_NAMES = tuple(METADATA)
MAGIC = b"SQLite format 3\x00"


class Index:
    """The four databases of one shard.

    Parameters
    ----------
    engines
        By database name.
    rebuilt
        Names of databases that were made anew and need a scan.
    """

    def __init__(self, engines: dict[str, Engine], rebuilt: tuple[str, ...] = ()) -> None:
        self.engines = engines
        self.rebuilt = rebuilt
        self._lock = threading.RLock()

    @classmethod
    def open(cls, layout: Layout) -> Index:
        """Open for writing; the caller holds the keeper's lock.

        Raises
        ------
        BadConfig
            If a path is a directory, another kind of file or on a network file system.
        """
        refuse_network(layout.state)
        _make_directory(layout.state)
        fresh = tuple(name for name, path in layout.databases.items() if not _usable(path))
        engines = {name: _engine(path) for name, path in layout.databases.items()}
        for name in fresh:
            _create(name, engines[name])
        index = cls(engines, fresh)
        if fresh:
            index.forget_runs()
        return index

    @classmethod
    def open_readonly(cls, layout: Layout, *, immutable: bool) -> Index:
        """Open without writing; ``immutable`` only while no keeper lives.

        SQLite wants to write beside a database in WAL mode even when it only reads, unless told that nobody else will.
        """
        flags = "mode=ro&immutable=1" if immutable else "mode=ro"
        return cls({name: _reader(path, flags) for name, path in layout.databases.items()})

    def forget_runs(self) -> None:
        """Let the next scan read all manifests again: they fill three databases, of which one is new."""
        with self.begin("products") as connection:
            connection.execute(runs.update().values(stamp=""))

    @contextmanager
    def begin(self, name: str) -> Iterator[Connection]:
        """One transaction in one database; threads take turns.

        Raises
        ------
        Unavailable
            If it cannot be written: the disk is full, read-only or damaged.
        """
        with self._lock:
            try:
                with self.engines[name].begin() as connection:
                    yield connection
            except OperationalError as error:
                raise Unavailable(
                    f"the index {name}.sqlite3 cannot be used ({error.orig}); "
                    "free space on its disk or mend its permissions"
                ) from error

    def rows(self, name: str, statement: Any) -> list[dict[str, Any]]:
        """Run a query and return its rows as plain dictionaries."""
        with self.begin(name) as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    def close(self) -> None:
        """Close all; the last one to close a database also empties its write-ahead log."""
        for engine in self.engines.values():
            engine.dispose()


def upsert(connection: Connection, table: Table, rows: list[dict[str, Any]], keep: tuple[str, ...] = ()) -> None:
    """Insert rows; a row with the same key is replaced, but for the columns in ``keep``."""
    if rows:
        statement = insert(table)
        keys = [column.name for column in table.primary_key]
        others = {name: statement.excluded[name] for name in rows[0] if name not in (*keys, *keep)}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), rows)


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfig(
            f"the state directory {directory} cannot be made ({error.strerror}); "
            "mend its permissions or set CONTIMG_STATE_DIR"
        ) from error


def _usable(path: Path) -> bool:
    """Say whether a database can be used as it is; one that cannot is moved aside."""
    if path.is_dir():
        raise BadConfig(
            f"the database {path} is a directory; move it away (a scan rebuilds the index) or set CONTIMG_STATE_DIR"
        )
    if not path.exists():
        return False
    _require_sqlite(path)
    if _version(path) == SCHEMA_VERSION:
        return True
    _move_aside(path)
    return False


def _require_sqlite(path: Path) -> None:
    try:
        with path.open("rb") as handle:
            head = handle.read(len(MAGIC))
    except OSError as error:
        raise BadConfig(f"the database {path} cannot be opened ({error.strerror}); mend its permissions") from error
    if head not in (b"", MAGIC):
        raise BadConfig(
            f"{path} is no SQLite database; move the file away (a scan rebuilds the index) or set CONTIMG_STATE_DIR"
        )


def _version(path: Path) -> int:
    """Return the schema version of a sound database, -1 of a damaged one."""
    try:
        connection = sqlite3.connect(path)
        try:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return -1
    return version if sound else -1


def _move_aside(path: Path) -> None:
    """Rename a database and its companions; nothing is deleted."""
    for number in itertools.count(1):
        aside = path.with_name(f"{path.name}.aside-{number}")
        if not aside.exists():
            break
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))


def _connect(path: Path, flags: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{flags}"
    return sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=30)


def _engine(path: Path) -> Engine:
    engine = create_engine("sqlite://", creator=lambda: _connect(path, "mode=rwc"), poolclass=StaticPool)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _reader(path: Path, flags: str) -> Engine:
    if not path.is_file():
        raise BadConfig(
            f"there is no index at {path}; name the right directories (--data-base, CONTIMG_DATA_BASE) "
            "or run contimg run first"
        )
    return create_engine("sqlite://", creator=lambda: _connect(path, flags), poolclass=NullPool)


def _create(name: str, engine: Engine) -> None:
    with engine.begin() as connection:
        METADATA[name].create_all(connection)
        for view in VIEWS.get(name, ()):
            connection.exec_driver_sql(view)
        connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")
