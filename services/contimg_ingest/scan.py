"""One look at the incoming directories: which file sets are complete, which wait and for what, which files are refused.

What is on disk is the memory: records are looked up by the dates of the files that are present, so a start costs what
lies in the incoming directories, not what was ever recorded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from contimg.errors import BadInput, ContimgError
from contimg.limits import FIRST_YEAR, LAST_YEAR, ProtocolLimits
from contimg.models.fact import IngestFact, UnsealedFact
from contimg.models.instrument import FileSet, Hint, Instrument, Piece, Refusal, instruments
from contimg.models.observation import ObservationRecord, ObservationState, QuarantineRecord
from contimg.models.survey import FileSetRules
from contimg.volume import disk
from contimg.volume.layout import Layout
from contimg_ingest import digest, sets
from contimg_ingest.records import Observations, Quarantine
from contimg_ingest.rulesfile import RulesFile
from contimg_ingest.walk import Found, walk

__all__ = ["ScanReport", "Scanner"]

_HEAD = 4096
"""Bytes by which a file is recognised."""
_FOREIGN = "unknown-telescope"
"""The word for a file that no instrument here knows; each start asks again, one may have been installed."""
_PROBLEMS = 100
"""So many are told; the others are counted."""


@dataclass
class ScanReport:
    """What one scan found."""

    scanned: datetime
    """Every file that had arrived by then is accounted for."""
    records: list[ObservationRecord] = field(default_factory=list)
    """New ones, sealed or incomplete, in time order."""
    unsealed: list[UnsealedFact] = field(default_factory=list)
    """File sets that are still being written, with what is missing."""
    quarantined: list[QuarantineRecord] = field(default_factory=list)
    """Files refused in this scan."""
    problems: list[str] = field(default_factory=list)
    """Directories, files and records that could not be looked at."""
    files: int = 0
    """Raw files present."""
    ignored: int = 0
    """Files that no instrument recognises."""
    last_file: datetime | None = None
    """When the newest file arrived."""

    @property
    def fact(self) -> IngestFact:
        """What ``state/ingest.json`` says."""
        more = len(self.problems) - _PROBLEMS
        problems = self.problems[:_PROBLEMS] + ([f"and {more} more of the like"] if more > 0 else [])
        return IngestFact(scanned=self.scanned, unsealed=tuple(self.unsealed), problems=tuple(problems))


@dataclass(slots=True)
class _File:
    """What is known of one file in its present state."""

    since: datetime
    """When it arrived."""
    stable: bool = False
    """It looked the same in an earlier scan."""
    instrument: str = ""
    pieces: tuple[Piece, ...] | None = None
    """None: its header was not read yet."""
    done: bool = False
    """On record, refused, or of no instrument."""
    ignored: bool = False
    refused: sets.Refused | None = None


class Scanner:
    """Looks at the incoming directories; remembers between scans only what lies there.

    Parameters
    ----------
    layout
        The directories.
    one_shot
        Take every file as arrived and every deadline as passed: for directories that nobody writes to.
    limits
        Its ``settle_s``.
    """

    def __init__(self, layout: Layout, *, one_shot: bool = False, limits: ProtocolLimits | None = None) -> None:
        self.layout = layout
        self.one_shot = one_shot
        self._limits = limits or ProtocolLimits()
        self._rules = RulesFile(layout.ingest_rules)
        self.observations = Observations(layout)
        """The records."""
        self._quarantine = Quarantine(layout.quarantine)
        self.files: dict[Found, _File] = {}
        """What is present."""

    def scan(self, now: datetime) -> ScanReport:
        """Look once at all files and write down what became final, and last where ingest stands.

        Raises
        ------
        BadConfig, ResourceExhausted
            If a record cannot be written.
        """
        begun = time.monotonic()
        seen = walk(self.layout.incoming_roots)
        report = ScanReport(now, problems=seen.problems)
        report.problems += filter(None, [self._rules.read()])
        self._note(seen.files, now)
        for found, file in self.files.items():
            if not file.done and file.pieces is None and self._has_arrived(found, file, now):
                self._take(found, file, report)
        for instrument in instruments().values():
            _Sets(self, instrument, self._rules.of(instrument.name), report).settle()
        report.ignored = sum(file.ignored for file in self.files.values())
        report.files = len(self.files) - report.ignored
        report.last_file = max((file.since for file in self.files.values() if not file.ignored), default=None)
        self._finish(report, time.monotonic() - begun)
        return report

    def _finish(self, report: ScanReport, seconds: float) -> None:
        report.problems += self.observations.problems
        self.observations.problems.clear()
        report.records.sort(key=lambda record: (record.start, record.id))
        report.unsealed.sort(key=lambda fact: fact.start)
        if self.one_shot:  # nobody adds files (ADR 0001), and a scan may take long
            report.scanned += timedelta(seconds=seconds)
        disk.write(self.layout.ingest_fact, report.fact.model_dump_json(indent=1) + "\n")

    def _note(self, files: list[Found], now: datetime) -> None:
        before, self.files = self.files, {}
        for found in files:
            file = before.get(found)
            if file is None:
                changed = datetime.fromtimestamp(min(found.changed_ns / 1e9, now.timestamp()), UTC)
                file = _File(since=changed)
            else:
                file.stable = True
            self.files[found] = file

    def _has_arrived(self, found: Found, file: _File, now: datetime) -> bool:
        age_s = now.timestamp() - found.mtime_ns / 1e9
        return self.one_shot or file.stable or age_s >= self._limits.settle_s

    # -- single files -----------------------------------------------------------------------------------------------

    def _take(self, found: Found, file: _File, report: ScanReport) -> None:
        """Read the header of a file that arrived, unless it is on record or was refused."""
        hint = _hint(found.path)
        known = self._quarantine.known(found, _date(hint))
        if known is not None and known.reason != _FOREIGN:
            self._mark_refused(file, hint, known.sentence)
            return
        if hint is not None and self.observations.uses(found, hint.time):
            file.done = True
            return
        try:
            self._read(found, file)
        except BadInput as error:
            self.refuse(found, error, report)
        except OSError as error:
            report.problems.append(f"{found.path} cannot be read ({error.strerror}); mend its permissions")

    def _read(self, found: Found, file: _File) -> None:
        """Ask the instruments that recognise a file, until one can use it."""
        with disk.open_regular(found.path) as stream:
            head = stream.read(_HEAD)
        errors = []
        for instrument in instruments().values():
            if not instrument.recognise(found.path, head):
                continue
            try:
                file.pieces, file.instrument = _pieces(instrument, found.path), instrument.name
            except BadInput as error:
                errors.append(error)
            else:
                return
        if errors:  # of several, the instrument knows best that knows the telescope
            raise next((error for error in errors if error.reason != _FOREIGN), errors[0])
        file.done = file.ignored = True

    def refuse(self, found: Found, error: BadInput, report: ScanReport) -> None:
        """Write the quarantine record of a file and do with it no more."""
        file, hint = self.files[found], _hint(found.path)
        self._mark_refused(file, hint, str(error))
        record = self._quarantine.store(found, error, report.scanned, _date(hint), file.instrument)
        report.quarantined.append(record)

    @staticmethod
    def _mark_refused(file: _File, hint: Hint | None, sentence: str) -> None:
        file.done, file.pieces = True, None
        file.refused = sets.Refused(hint.role, hint.time, sentence) if hint else None

    # -- what the sets of an instrument ask -------------------------------------------------------------------------

    def refused(self) -> Iterator[sets.Refused]:
        """Files that were refused, with what they would have been."""
        return (file.refused for file in self.files.values() if file.refused is not None)

    def reopen(self, record: ObservationRecord, report: ScanReport) -> bool:
        """Take the files of an incomplete record up again; False if none of them was put away."""
        used = {(raw.root, raw.path, raw.bytes) for raw in record.files}
        found_any = False
        for found, file in self.files.items():
            if file.done and (found.root, found.name, found.size) in used:
                file.done, found_any = False, True
                try:
                    self._read(found, file)
                except (BadInput, OSError) as error:
                    file.done = True
                    report.problems.append(f"{found.path} of {record.id} can be read no more ({error})")
        return found_any


class _Sets:
    """The file sets of one instrument in one scan."""

    def __init__(self, scanner: Scanner, instrument: Instrument, rules: FileSetRules, report: ScanReport) -> None:
        self.scanner = scanner
        self.instrument = instrument
        self.rules = rules
        self.report = report
        self.places: dict[Path, Found] = {}
        self.settled: set[tuple[Path, str]] = set()
        """Path and role of what is on record."""

    def settle(self) -> None:
        """Seal, end or list what belongs together; an error of an instrument or a set stops no other one.

        Raises
        ------
        BadConfig, ResourceExhausted
            If a record cannot be written.
        """
        found: list[FileSet] = []
        with self._complained(), _foreign(self.instrument, "could not put files together"):
            found = self._gathered()
        for files in found:
            with self._complained(), _foreign(self.instrument, f"could not seal {files.id}"):
                try:
                    self._settle_one(files)
                except ValidationError as error:
                    self._refuse_all(files, error)
        self._put_away()

    @contextmanager
    def _complained(self) -> Iterator[None]:
        """Let a bad input, or a file that cannot be opened now, be a problem of the report; others go on."""
        try:
            yield
        except (BadInput, OSError) as error:
            self.report.problems.append(str(error))

    def _gathered(self) -> list[FileSet]:
        """Return the sets of all files that wait; files that complete an old set bring its files with them."""
        found = self._gather()
        reopened = [self._reopen(files) for files in found]
        return self._gather() if any(reopened) else found

    def _gather(self) -> list[FileSet]:
        own = {f: file for f, file in self.scanner.files.items() if file.instrument == self.instrument.name}
        waiting = {found: file.pieces for found, file in own.items() if file.pieces and not file.done}
        self.places = {found.path: found for found in waiting}
        pieces = [piece for each in waiting.values() for piece in each]
        return list(self.instrument.gather(pieces, self.rules)) if pieces else []

    def _reopen(self, files: FileSet) -> bool:
        record = self.scanner.observations.of(self.instrument.name, files)
        if record is None or not self._fresh(files, record) or not self._is_open(record):
            return False
        return self.scanner.reopen(record, self.report)

    def _is_open(self, record: ObservationRecord) -> bool:
        """Tell whether later files may complete a recording: nobody has used it."""
        is_incomplete = record.state is ObservationState.INCOMPLETE
        return is_incomplete and not self.scanner.observations.published_with(record.id)

    def _fresh(self, files: FileSet, record: ObservationRecord) -> list[Piece]:
        """Return the pieces that a record does not have."""
        used = {(raw.root, raw.path, raw.bytes, raw.role) for raw in record.files}
        places = [(self.places[piece.path], piece) for piece in files.pieces]
        return [piece for at, piece in places if (at.root, at.name, at.size, piece.role) not in used]

    def _settle_one(self, files: FileSet) -> None:
        record = self.scanner.observations.of(self.instrument.name, files)
        fresh = self._fresh(files, record) if record else list(files.pieces)
        if record and not fresh:
            self._record(files)
        elif record and not self._is_open(record):
            group = self.scanner.observations.published_with(record.id)
            self._refuse({piece.path: sets.late(piece, record, group, digest.content) for piece in fresh})
        else:
            self._judge(sets.without_copies(files, digest.content), record)

    def _judge(self, files: FileSet, instead: ObservationRecord | None) -> None:
        """Write the record of a set that is complete or past its deadline; list one that is not."""
        paths = [*(piece.path for piece in files.pieces), *files.refused]
        arrived = max(self.scanner.files[self.places[path]].since for path in paths)
        due = arrived + timedelta(seconds=self.rules.deadline_s)
        if files.missing and not self.scanner.one_shot and self.report.scanned < due:
            self._wait(files, due)
            return
        if files.pieces:
            self._seal(files, instead)
        self._record(files)

    def _seal(self, files: FileSet, instead: ObservationRecord | None) -> None:
        reasons = [*files.warnings, *sets.explain(files, self.scanner.refused())]
        if files.missing:
            reasons.insert(0, f"{sets.missing_words(files)} {self._end(files)}")
        now = self.report.scanned
        record = sets.record_of(files, self.instrument, self.places, reasons, now, digest.content)
        if instead is not None:
            record = record.model_copy(update={"id": instead.id})
        self.scanner.observations.store(record, instead)
        self.report.records.append(record)

    def _end(self, files: FileSet) -> str:
        """Say why a set ended before it was complete, and what brings it back."""
        end = f"at the deadline ({self.rules.deadline_s:.0f} s after the last file)"
        if self.scanner.one_shot:
            end = "and no others are expected"
        if sets.is_enough(files):
            return end
        return f"{end}; it will not be used until the missing files are copied to the incoming directory"

    def _wait(self, files: FileSet, due: datetime) -> None:
        reasons = "".join(f"; {sentence}" for sentence in sets.explain(files, self.scanner.refused()))
        sentence = f"{sets.missing_words(files)}; waits until {due:%H:%M:%S} UTC{reasons}"
        name = self.instrument.name
        self.report.unsealed.append(UnsealedFact(start=files.start, sentence=sentence, instrument=name, id=files.id))

    def _record(self, files: FileSet) -> None:
        """Be done with a set that is final."""
        self.settled.update((piece.path, piece.role) for piece in files.pieces)
        self._refuse(files.refused)

    def _put_away(self) -> None:
        """Forget the headers of files all of whose pieces are on record."""
        for found in self.places.values():
            file = self.scanner.files[found]
            if all((piece.path, piece.role) in self.settled for piece in file.pieces or ()):
                file.done, file.pieces = True, None

    def _refuse(self, refused: Mapping[Path, Refusal]) -> None:
        for path, refusal in refused.items():
            found = self.places[path]
            if not self.scanner.files[found].done:
                self.scanner.refuse(found, BadInput(refusal.sentence, reason=refusal.reason), self.report)

    def _refuse_all(self, files: FileSet, error: ValidationError) -> None:
        """Quarantine the files of a recording whose record would break a bound."""
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "recording"
        for piece in files.pieces:
            text = f"{piece.path}: {where} of {files.id} cannot be ({first['msg']}); write the file again"
            self._refuse({piece.path: Refusal("out-of-bounds", text)})


def _pieces(instrument: Instrument, path: Path) -> tuple[Piece, ...]:
    """Return what an instrument finds in a file; whatever else it raises is the file's end, not ingest's."""
    with _foreign(instrument, f"cannot read {path}", "; copy it again"):
        return tuple(instrument.read(path))


@contextmanager
def _foreign(instrument: Instrument, what: str, cure: str = "") -> Iterator[None]:
    """Turn whatever an instrument did not foresee into a bad input: its code is foreign, a header is anybody's."""
    try:
        yield
    except (ContimgError, OSError):
        raise
    except Exception as error:  # whatever foreign code raises must cost one file, not the service
        name = type(error).__name__
        raise BadInput(f"instrument {instrument.name} {what} ({name}: {error}){cure}") from error


def _hint(path: Path) -> Hint | None:
    """Return what some instrument reads in a name, if it is a time that can be."""
    hints = (instrument.hint(path) for instrument in instruments().values())
    return next((hint for hint in hints if hint is not None and FIRST_YEAR < hint.time.year < LAST_YEAR), None)


def _date(hint: Hint | None) -> str:
    return hint.time.date().isoformat() if hint else "unknown"
