"""The indexes for a command line that only looks."""

from __future__ import annotations

from contimg.keeper.facts import Answers, collect
from contimg.keeper.index import Index
from contimg.keeper.lock import holder
from contimg.keeper.queries import Queries
from contimg.keeper.reference import ReferenceData
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts, Needs
from contimg.volume.layout import Layout

__all__ = ["Reader", "open_readonly"]


class Reader(Queries):
    """Questions of people, and facts of a group as they stand in the index; nothing is written."""

    def facts(self, needs: Needs) -> Facts:
        """See :meth:`Keeper.facts`."""
        answers = Answers(self.layout, self.index, ProtocolLimits(), ReferenceData(self.layout))
        return collect(answers.page, needs)


def open_readonly(layout: Layout) -> Reader:
    """Open the indexes without changing them; the caller closes ``.index``.

    While no keeper lives and none left a write-ahead log, the databases are opened as immutable: otherwise SQLite
    wants to write beside them even to read.

    Raises
    ------
    BadConfig
        If there is no index, or something else has its name.
    Damaged
        If it is of no use until a keeper made it anew.
    """
    logs = [path.with_name(path.name + "-wal") for path in layout.databases.values()]
    left = any(log.exists() and log.stat().st_size for log in logs)
    return Reader(Index.open_readonly(layout, immutable=not left and not holder(layout)), layout)
