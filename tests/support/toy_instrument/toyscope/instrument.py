"""The instrument for the platform: numeric ids, one file per recording, an index of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from sqlite3 import Connection
from typing import Any, ClassVar

from contimg.models.base import Model
from contimg.models.instrument import FileSet, Instrument, Piece
from contimg.models.manifest import Manifest
from contimg.models.observation import Description, ObservationRecord
from contimg.models.pipeline import Pipeline, read_pipelines
from toyscope import raw


class Toyscope(Instrument):
    """Counts something once a minute."""

    name: ClassVar[str] = "toyscope"
    title: ClassVar[str] = "A telescope that counts"
    index_version: ClassVar[int] = 1

    @cached_property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """Return ``toy-sums``."""
        return read_pipelines("toyscope.pipelines")

    def site(self) -> Any:
        """Return nothing: nobody asks where it stands."""
        return None

    def recognise(self, path: Path, head: bytes) -> bool:
        """Go by the first line."""
        del path
        return head.startswith(raw.MAGIC)

    def read(self, path: Path) -> Sequence[Piece]:
        """Return the one recording of a file."""
        header = raw.header_of(path)
        return [Piece(path, "counts", str(header["number"]), header["start"], header)]

    def describe(self, files: FileSet) -> Description:
        """Return what the header says."""
        header = files.pieces[0].header
        return Description(
            id=files.id,
            start=header["start"],
            end=header["end"],
            integrations=1,
            integration_s=header["seconds"],
            ra_deg=0.0,
            dec_deg=45.0,
            source=header["source"],
        )

    def index(self, transaction: Connection, records: Sequence[Model]) -> None:
        """Keep the source of every recording and the level of every run."""
        transaction.execute("CREATE TABLE IF NOT EXISTS sources (id TEXT PRIMARY KEY, source TEXT)")
        transaction.execute("CREATE TABLE IF NOT EXISTS levels (task TEXT PRIMARY KEY, level REAL)")
        seen = [(one.id, one.source) for one in records if isinstance(one, ObservationRecord)]
        runs = [one for one in records if isinstance(one, Manifest) and "level" in one.info]
        transaction.executemany("INSERT OR REPLACE INTO sources VALUES (?, ?)", seen)
        transaction.executemany(
            "INSERT OR REPLACE INTO levels VALUES (?, ?)", [(one.task, one.info["level"]) for one in runs]
        )


INSTRUMENT = Toyscope()
