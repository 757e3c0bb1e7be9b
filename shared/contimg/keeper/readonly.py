"""The indexes for a command line that only looks."""

from __future__ import annotations

import sqlite3

from contimg.errors import Unavailable
from contimg.keeper.index import Index
from contimg.keeper.keeper import holder
from contimg.keeper.queries import Queries
from contimg.volume.layout import Layout

__all__ = ["open_readonly"]


def open_readonly(layout: Layout) -> Queries:
    """Open the indexes without changing them; the caller closes ``.index``.

    While no keeper lives the databases are opened as immutable: otherwise SQLite wants to write beside them even
    to read. What a killed keeper left in a write-ahead log is first brought into its database.

    Raises
    ------
    BadConfig
        If there is no index.
    Unavailable
        If such a log is left and this user may not write.
    """
    alive = bool(holder(layout))
    if not alive:
        for path in layout.databases.values():
            log = path.with_name(path.name + "-wal")
            if log.exists() and log.stat().st_size:
                _recover(str(path))
    return Queries(Index.open_readonly(layout, immutable=not alive))


def _recover(path: str) -> None:
    try:
        connection = sqlite3.connect(path, timeout=30)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Unavailable(
            f"{path} has a log of a keeper that was killed, which this user cannot bring in ({error}); "
            "run contimg as the user that owns the state directory"
        ) from error
