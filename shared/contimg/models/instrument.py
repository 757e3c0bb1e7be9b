"""What an instrument is to the platform: who recognises its files, says what they hold, and brings its pipelines.

An instrument is a package that declares an object of a class derived from :class:`Instrument` under the entry
point ``contimg.instruments``. Loading it imports no science; its methods import what they need when a file is read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from sqlite3 import Connection
from typing import Any, ClassVar

from contimg.errors import BadConfig
from contimg.models.base import Model
from contimg.models.observation import Description
from contimg.models.pipeline import Pipeline
from contimg.models.spec import installed, nearest, one_of
from contimg.models.survey import FileSetRules

__all__ = [
    "FileSet",
    "Hint",
    "Instrument",
    "Piece",
    "Refusal",
    "instrument",
    "instruments",
    "pipeline",
    "pipelines",
]


@dataclass(frozen=True)
class Hint:
    """What the name of a file alone says: helps to find records and to explain what is missing; never believed."""

    role: str
    time: datetime
    """About the start of the recording, UTC."""


@dataclass(frozen=True)
class Piece:
    """What one file holds of one recording, by its header."""

    path: Path
    role: str
    """Which part of the recording: ``sb07``, ``scan-3``."""
    id: str
    """Id of the observation, as far as this file can tell."""
    start: datetime
    """Start of the first integration, UTC."""
    header: Any = None
    """What else the instrument wants to know of the file in :meth:`Instrument.gather` and ``describe``."""


@dataclass(frozen=True)
class Refusal:
    """Why a file is not used."""

    reason: str
    """One word, as in the quarantine record."""
    sentence: str
    """Names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class FileSet:
    """The files that belong to one recording, as far as they have arrived."""

    id: str
    """Id of the observation."""
    start: datetime
    """Start of the first integration, UTC."""
    pieces: tuple[Piece, ...]
    """Usable ones; several of one role are copies, which the watcher sorts out."""
    expected: tuple[str, ...]
    """Roles of the full set, in the order in which the files enter the record."""
    least: int
    """So many files suffice at the deadline."""
    tolerance_s: float = 0.0
    """A record of this instrument whose start differs by at most this is of the same recording, in seconds."""
    refused: Mapping[Path, Refusal] = field(default_factory=dict)
    """Files of this recording that contradict the others."""
    warnings: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Roles that no file has."""
        present = {piece.role for piece in self.pieces}
        return tuple(role for role in self.expected if role not in present)


class Instrument(ABC):
    """A telescope as the platform sees it."""

    name: ClassVar[str]
    """Short name: in records, pipelines, rules and on the command line."""
    title: ClassVar[str]
    """One line for people."""
    presets: ClassVar[tuple[str, ...]] = ()
    """Packaged settings of its simulator, the usual one first; empty: it has no simulator."""
    roots_variable: ClassVar[str] = ""
    """Environment variable with further directories of its raw files, read in place after those of
    ``CONTIMG_INCOMING_DIR`` and separated by ':' too; empty: it has none."""
    index_version: ClassVar[int] = 0
    """Of the tables that :meth:`index` writes: with another number the database is made anew. 0: it has none."""

    @property
    @abstractmethod
    def pipelines(self) -> tuple[Pipeline, ...]:
        """The pipelines it brings (``contimg.models.pipeline.read_pipelines`` reads packaged YAML files)."""

    @abstractmethod
    def site(self) -> Any:
        """Return what stages must know of the place: of an interferometer a ``contimg.radio.telescopes.Telescope``."""

    @abstractmethod
    def recognise(self, path: Path, head: bytes) -> bool:
        """Tell by its name and its first bytes (at most 4096) whether a file may be of this instrument."""

    def hint(self, path: Path) -> Hint | None:
        """Return what the name of a recognised file that holds one recording says, if it says anything."""
        del path
        return None

    @abstractmethod
    def read(self, path: Path) -> Sequence[Piece]:
        """Return what a file holds; only its header is read.

        Raises
        ------
        contimg.errors.BadInput
            If it cannot be used; ``reason`` is the word of its quarantine record. With ``unknown-telescope`` the
            next instrument that recognises the file is asked.
        OSError
            If it cannot be opened: that is not the file's fault and may pass.
        """

    def gather(self, pieces: Sequence[Piece], rules: FileSetRules) -> Sequence[FileSet]:
        """Return which pieces are one recording; unless overridden, each piece is one.

        Parameters
        ----------
        pieces
            All that have arrived and are on no record yet, in any order.
        rules
            What a survey asked for.
        """
        del rules
        return [FileSet(each.id, each.start, (each,), (each.role,), 1) for each in pieces]

    @abstractmethod
    def describe(self, files: FileSet) -> Description:
        """Return what the record says about a recording whose files are complete, or as complete as they get."""

    def simulate(self, out: Path, preset: str, config: Path | None = None) -> str:
        """Write raw files with known truth below a directory and say in a sentence what was written.

        Parameters
        ----------
        out
            Directory, made if needed.
        preset
            One of :attr:`presets`.
        config
            YAML file with settings of the user's own, instead of the preset.

        Raises
        ------
        contimg.errors.BadConfig
            If the settings are not valid, or this instrument has no simulator.
        """
        del out, preset, config
        raise BadConfig(f"instrument {self.name!r} has no simulator; copy raw files to the incoming directory instead")

    def index(self, transaction: Connection, records: Sequence[Model]) -> None:
        """Write rows of a database of its own, ``state/<name>.sqlite3``; called by the keeper inside its batch.

        Parameters
        ----------
        transaction
            Open transaction on that database; the keeper commits it.
        records
            New observation records of this instrument, and every new run manifest. The same ones come again when
            the databases are rebuilt, so writing twice must give what writing once gives.
        """
        del transaction, records


@cache
def instruments() -> dict[str, Instrument]:
    """Return the installed instruments by name, in the order of their names (entry points ``contimg.instruments``).

    Raises
    ------
    BadConfig
        If an entry point is not named as its instrument.
    """
    found: dict[str, Instrument] = installed("contimg.instruments", "instrument")
    return found


def instrument(name: str) -> Instrument:
    """Return an installed instrument.

    Raises
    ------
    BadConfig
        If there is none of this name; the nearest name is offered.
    """
    return one_of(instruments(), name, "instrument")


@cache
def pipelines() -> dict[str, Pipeline]:
    """Return the pipelines of all installed instruments by name.

    Raises
    ------
    BadConfig
        If two instruments bring a pipeline of one name.
    """
    found: dict[str, Pipeline] = {}
    for name, each in instruments().items():
        for item in each.pipelines:
            if item.name in found:
                raise BadConfig(
                    f"pipeline {item.name!r} of instrument {name!r} is there already; rename one of the two"
                )
            found[item.name] = item
    return dict(sorted(found.items()))


def pipeline(name: str) -> Pipeline:
    """Return an installed pipeline.

    Raises
    ------
    BadConfig
        If there is none of this name; the nearest name is offered.
    """
    if name not in pipelines():
        known = ", ".join(pipelines())
        raise BadConfig(f"pipeline {name!r} is unknown{nearest(name, pipelines())}; known are {known}")
    return pipelines()[name]
