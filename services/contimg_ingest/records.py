"""Observation and quarantine records on disk, found by date: what was long ago costs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from contimg.errors import BadConfig, BadInput
from contimg.models.base import date_of
from contimg.models.fact import GroupRecord
from contimg.models.instrument import FileSet
from contimg.models.observation import ObservationRecord, QuarantineRecord
from contimg.volume import disk
from contimg.volume.layout import Layout
from contimg_ingest.walk import Found

__all__ = ["Observations", "Quarantine"]

_KEPT = 64
"""So many dates are remembered between two looks."""
_NAME_SLACK = timedelta(hours=1)
"""A name's stamp is that near to the start of the data."""
_LONGEST = 180
"""A name that is longer is cut in the name of its quarantine record: file systems end at 255 bytes."""


@dataclass
class _Day:
    mtime_ns: int
    records: tuple[ObservationRecord, ...]
    files: frozenset[tuple[int, str, int]]
    """(root, path, bytes) of every file on record."""


@dataclass
class Observations:
    """``state/observations/<date>/<id>.json``."""

    layout: Layout
    problems: list[str] = field(default_factory=list)
    """Records that cannot be read; whoever looks takes them away."""
    _days: dict[str, _Day] = field(default_factory=dict)
    _published: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Answers for the state of ``state/groups/`` in which they were found: a set may wait for a while."""

    def uses(self, found: Found, about: datetime) -> bool:
        """Tell whether a file is part of a record of about that time."""
        key = (found.root, found.name, found.size)
        return any(key in self._day(date).files for date in _dates(about, _NAME_SLACK))

    def of(self, instrument: str, files: FileSet) -> ObservationRecord | None:
        """Return the record of the same recording, if there is one."""
        slack = timedelta(seconds=files.tolerance_s)
        days = [self._day(date).records for date in _dates(files.start, slack + timedelta(seconds=1))]
        mine = [record for records in days for record in records if record.instrument == instrument]
        same = (record for record in mine if record.id == files.id)
        return next(same, None) or next((r for r in mine if abs(r.start - files.start) <= slack), None)

    def store(self, record: ObservationRecord, instead: ObservationRecord | None = None) -> None:
        """Write a record; it is never changed afterwards, but for an incomplete one that its files complete.

        Raises
        ------
        BadConfig, ResourceExhausted
            If it cannot be written.
        """
        text = record.model_dump_json(indent=1) + "\n"
        path = self.layout.record(instead or record)
        if instead is not None:
            disk.write(path, text)
        elif not disk.create(path, text):  # nobody could read what stands there
            disk.set_aside(path, "damaged")
            disk.write(path, text)
        self._days.pop(path.parent.name, None)

    def published_with(self, identity: str) -> str:
        """Return a group that was published with this observation, or nothing."""
        try:
            mtime_ns = self.layout.groups.stat().st_mtime_ns
        except FileNotFoundError:
            return ""
        known = self._published.get(identity)
        if known is None or known[0] != mtime_ns:
            known = self._published[identity] = (mtime_ns, self._group_with(identity))
        return known[1]

    def _group_with(self, identity: str) -> str:
        for path in sorted(self.layout.groups.glob("*.json")):
            text = path.read_text(encoding="utf-8")
            if f'"{identity}"' not in text:
                continue
            try:
                record = GroupRecord.model_validate_json(text)
            except ValidationError:
                return path.stem  # what cannot be read may have used it
            if record.published and identity in record.members:
                return record.group
        return ""

    def _day(self, date: str) -> _Day:
        directory = self.layout.observations / date
        try:
            mtime_ns = directory.stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return _Day(0, (), frozenset())
        except OSError as error:
            raise BadConfig(f"{directory} cannot be read ({error.strerror}); mend its permissions") from error
        known = self._days.get(date)
        if known is None or known.mtime_ns != mtime_ns:
            while len(self._days) >= _KEPT:
                self._days.pop(next(iter(self._days)))
            known = self._days[date] = self._read(directory, mtime_ns)
        return known

    def _read(self, directory: Path, mtime_ns: int) -> _Day:
        records = []
        for path in sorted(directory.glob("*.json")):
            try:
                records.append(ObservationRecord.model_validate_json(path.read_bytes()))
            except ValidationError as error:
                what = error.errors()[0]["msg"]
                self.problems.append(f"{path} is no observation record ({what}); restore or remove it")
        files = frozenset((raw.root, raw.path, raw.bytes) for record in records for raw in record.files)
        return _Day(mtime_ns, tuple(records), files)


@dataclass(frozen=True)
class Quarantine:
    """``state/quarantine/<date>/<file name>.json``; one file per state of a raw file that was judged."""

    directory: Path

    def known(self, found: Found, date: str) -> QuarantineRecord | None:
        """Return the record of a file in just this state, if it was refused before."""
        for path in self._paths(found, date):
            record = _refusal_of(path, found)
            if record is not None:
                return record
        return None

    def store(self, found: Found, error: BadInput, now: datetime, date: str, instrument: str = "") -> QuarantineRecord:
        """Write the record of a refused file.

        Raises
        ------
        BadConfig, ResourceExhausted
            If it cannot be written.
        """
        record = QuarantineRecord(
            path=str(found.path),
            instrument=instrument,
            reason=error.reason,
            sentence=str(error),
            size=found.size,
            mtime_ns=found.mtime_ns,
            time=now,
        )
        plain, marked = self._paths(found, date)
        path = marked if plain.exists() and not _refusal_of(plain, found) else plain
        disk.write(path, record.model_dump_json(indent=1) + "\n")
        return record

    def _paths(self, found: Found, date: str) -> tuple[Path, Path]:
        """Return the file for the first state of a name, and the one for further states and files of that name."""
        state = hashlib.sha256(f"{found.path} {found.size} {found.mtime_ns}".encode()).hexdigest()[:8]
        name = found.path.name
        short = name if len(name.encode()) <= _LONGEST else f"{name[: _LONGEST // 4]}-{state}"
        there = self.directory / date
        return there / f"{short}.json", there / f"{short}.{state}.json"


def _refusal_of(path: Path, found: Found) -> QuarantineRecord | None:
    """Return the quarantine record in a file if it is one, of a raw file in just this state."""
    try:
        record = QuarantineRecord.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):  # what cannot be read is written again
        return None
    same = (record.path, record.size, record.mtime_ns) == (str(found.path), found.size, found.mtime_ns)
    return record if same else None


def _dates(about: datetime, slack: timedelta) -> Iterable[str]:
    return dict.fromkeys((date_of(about - slack), date_of(about), date_of(about + slack)))
