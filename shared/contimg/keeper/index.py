"""The databases of one shard, opened: checked, moved aside when they are of no use, never trusted as the truth."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from contimg import crash
from contimg.errors import BadConfig, BadInput, Damaged, Unavailable
from contimg.keeper.mounts import refuse_network
from contimg.keeper.schema import DATABASES, SCHEMA_VERSION, instrument_databases
from contimg.limits import MIB
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = ["Index", "Row", "database_paths", "put"]

Row = sqlite3.Row
MAGIC = b"SQLite format 3\x00"
CHECKED_BYTES = 64 * MIB
"""A larger database is not read through at start; damage inside is noticed at use, and mended at the next start."""
WRITER = ("synchronous=NORMAL", "cache_size=-32768", "wal_autocheckpoint=8000")
"""A rebuild inserts keys in random order: its indexes should stay in memory (32 MiB each)."""
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REBUILT = "the keeper (contimg run starts one) builds it again from the records beside it"


class Index:
    """The databases of one shard.

    Readers have connections of their own and never wait for a writer; writers of one database take turns.

    Parameters
    ----------
    paths
        By database name.
    flags
        How SQLite opens the files.
    rebuilt
        Names of databases that were made anew.
    """

    def __init__(self, paths: Mapping[str, Path], flags: str, rebuilt: frozenset[str] = frozenset()) -> None:
        self.paths = dict(paths)
        self.rebuilt = rebuilt
        self.writable = flags == "mode=rw"
        self._flags = flags
        self._locks = {name: threading.RLock() for name in paths}
        self._writers: dict[str, sqlite3.Connection] = {}
        self._idle: dict[str, list[sqlite3.Connection]] = {name: [] for name in paths}

    @classmethod
    def open(cls, layout: Layout) -> Index:
        """Open for writing; the caller holds the keeper's lock.

        Raises
        ------
        BadConfig
            If a path is no file, no database, or on a network file system.
        """
        refuse_network(layout.state)
        versions = dict.fromkeys(DATABASES, SCHEMA_VERSION) | instrument_databases()
        paths = database_paths(layout)
        fresh = frozenset(name for name, path in paths.items() if not _is_usable(path, versions[name]))
        for name in fresh:
            _create(paths[name], DATABASES.get(name, ""), versions[name])
        return cls(paths, "mode=rw", fresh)

    @classmethod
    def open_readonly(cls, layout: Layout, *, immutable: bool) -> Index:
        """Open the four databases without writing; ``immutable`` only while nobody else writes.

        Raises
        ------
        BadConfig
            If there is none, or something else has its name.
        """
        paths = {name: path for name, path in database_paths(layout).items() if name in DATABASES}
        for path in paths.values():
            if not path.exists():
                raise BadConfig(
                    f"there is no index at {path}; name the right directories (--data-base, CONTIMG_DATA_BASE) "
                    "or run contimg run first"
                )
            _require_sqlite(path)
            if _version(path, immutable=immutable) != SCHEMA_VERSION:
                raise Damaged(f"the database {path} is damaged or of another release; {_REBUILT}")
        return cls(paths, "mode=ro&immutable=1" if immutable else "mode=ro")

    @contextmanager
    def begin(self, name: str) -> Iterator[sqlite3.Connection]:
        """One transaction in one database.

        Raises
        ------
        Unavailable
            If it cannot be written: the disk is full, read-only or damaged.
        """
        with self._locks[name], self._explained(name):
            writer = self._writers.get(name) or self._writers.setdefault(name, self._connect(name, *WRITER))
            writer.execute("BEGIN IMMEDIATE")
            try:
                yield writer
                crash.point("index.before")
                writer.execute("COMMIT")
            except BaseException:  # also an interruption must not leave a transaction open
                with suppress(sqlite3.Error):
                    writer.execute("ROLLBACK")
                raise
            crash.point("index.after")

    def rows(self, name: str, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run a query and return its rows; raises as :meth:`begin`."""
        return list(self.stream(name, query, values))

    def stream(self, name: str, query: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """Run a query and give its rows one by one, from one state of the database; raises as :meth:`begin`."""
        with self._explained(name):
            try:
                reader = self._idle[name].pop()
            except IndexError:
                reader = self._connect(name)
            cursor = reader.execute(query, values)
            try:
                yield from cursor
            finally:
                cursor.close()
                self._idle[name].append(reader)

    def close(self) -> None:
        """Close all; the last one to close a database also empties its write-ahead log."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()
        while self._writers:
            self._writers.popitem()[1].close()

    def _connect(self, name: str, *pragmas: str) -> sqlite3.Connection:
        connection = _connect(self.paths[name], self._flags)
        connection.row_factory = Row
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn SQLite's errors into sentences; a database that turns out damaged is marked for the next start."""
        path = self.paths[name]
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT:
                if self.writable:
                    _mark(path).touch()
                raise Damaged(f"the database {path} is damaged ({error}); {_REBUILT}") from error
            raise Unavailable(
                f"the index {path} cannot be used ({error}); free space on its disk or mend its permissions"
            ) from error


def put(connection: sqlite3.Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows, all with the same columns; a row with the same key is replaced."""
    rows = list(rows)
    if rows:
        columns = ", ".join(rows[0])
        places = ", ".join(f":{name}" for name in rows[0])
        connection.executemany(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})", rows)  # noqa: S608 - our names


def database_paths(layout: Layout) -> dict[str, Path]:
    """Return the four databases of the design, and those of instruments that keep one, by name."""
    return {name: layout.database(name) for name in (*DATABASES, *instrument_databases())}


def _connect(path: Path, flags: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{flags}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30)


def _mark(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _is_usable(path: Path, version: int) -> bool:
    """Say whether a database can be used as it is; one that cannot is moved aside."""
    if not path.exists() and not path.is_symlink():
        return False
    _require_sqlite(path)
    if _version(path) == version and not _mark(path).exists():
        return True
    aside = disk.set_aside(path, "aside")
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            disk.rename(path.with_name(path.name + suffix), aside.with_name(aside.name + suffix))
    _mark(path).unlink(missing_ok=True)
    return False


def _require_sqlite(path: Path) -> None:
    try:
        with disk.open_regular(path) as handle:
            head = handle.read(len(MAGIC))
    except (OSError, BadInput) as error:
        reason = getattr(error, "strerror", None) or "it is no regular file"
        raise BadConfig(
            f"the database {path} cannot be opened ({reason}); move it away (the keeper then builds the index anew), "
            "mend its permissions, or set CONTIMG_STATE_DIR"
        ) from error
    if head not in (b"", MAGIC):
        raise BadConfig(
            f"{path} is no SQLite database; move the file away (the keeper then builds the index anew) "
            "or set CONTIMG_STATE_DIR"
        )


def _version(path: Path, *, immutable: bool = False) -> int:
    """Return the schema version of a database that seems sound, else -1."""
    with suppress(sqlite3.DatabaseError):
        connection = _connect(path, "mode=ro&immutable=1" if immutable else "mode=rw")
        try:
            small = path.stat().st_size <= CHECKED_BYTES
            if small and connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                return -1
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
        finally:
            connection.close()
    return -1


def _create(path: Path, script: str, version: int) -> None:
    connection = _connect(path, "mode=rwc")
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(f"BEGIN; {script} PRAGMA user_version={version}; COMMIT;")
    except sqlite3.Error as error:
        raise Unavailable(f"the database {path} cannot be made ({error}); free space on its disk") from error
    finally:
        connection.close()
