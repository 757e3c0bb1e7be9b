"""One look at ``incoming/``: which file sets are complete, which wait and for what, which files are refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from contimg.errors import BadInput
from contimg.models.fact import UnsealedFact
from contimg.models.observation import ObservationRecord, ObservationState
from contimg.radio import coordinates
from contimg.radio.telescopes import telescope_named
from contimg_ingest import digest, records, uvfits, uvh5
from contimg_ingest.cluster import FileSet, cluster, inspect, missing_words
from contimg_ingest.policy import IngestPolicy, Reason, Refused
from contimg_ingest.records import Maker, QuarantineRecord
from contimg_ingest.uvh5 import DAY_S, Header, name_stamp, subband_of
from contimg_ingest.walk import Found, Kind, walk

__all__ = ["ScanReport", "Scanner"]


@dataclass
class ScanReport:
    """What one scan found."""

    scanned_at: datetime
    records: list[ObservationRecord] = field(default_factory=list)
    """New ones, sealed or incomplete, in time order."""
    unsealed: list[UnsealedFact] = field(default_factory=list)
    """File sets that are still being written, with what is missing."""
    quarantined: list[QuarantineRecord] = field(default_factory=list)
    """Files refused in this scan."""
    problems: list[str] = field(default_factory=list)
    """Directories and files that could not be looked at."""
    files: int = 0
    """Raw files present."""
    ignored: int = 0
    """Other files."""


class Scanner:
    """Remembers between scans what it saw; everything final is on disk, so a new one goes on where it stopped.

    Parameters
    ----------
    incoming
        Directory of the raw files; only read.
    observations_dir, quarantine_dir
        Where the records go.
    policy
        Rules of a file set.
    one_shot
        Take every file as arrived and every deadline as passed: for a directory that nobody writes to.
    """

    def __init__(
        self,
        incoming: Path,
        observations_dir: Path,
        quarantine_dir: Path,
        policy: IngestPolicy | None = None,
        *,
        one_shot: bool = False,
    ) -> None:
        self.incoming = incoming
        self.observations_dir = observations_dir
        self.quarantine_dir = quarantine_dir
        self.policy = policy or IngestPolicy()
        self.one_shot = one_shot
        self._since: dict[Found, datetime] = {}  # when a file was first seen in this state
        self._headers: dict[Found, Header] = {}
        self._listed: set[Found] = set()  # UVFITS files whose scans are all on record
        self._known: dict[str, ObservationRecord] = {}
        self._used: dict[tuple[str, int], str] = {}  # file and size -> observation
        self._refused: dict[tuple[str, int, int], QuarantineRecord] = {}
        for record in records.load_observations(observations_dir):
            self._remember(record)
        for refused in records.load_quarantine(quarantine_dir):
            self._refused[refused.path, refused.size, refused.mtime_ns] = refused

    def scan(self, now: datetime) -> ScanReport:
        """Look once at all files.

        Raises
        ------
        contimg.errors.BadConfig
            If a record cannot be written.
        """
        seen = walk(self.incoming)
        report = ScanReport(now, problems=seen.problems, files=len(seen.files), ignored=seen.ignored)
        before = self._since
        self._since = {found: before.get(found, now) for found in seen.files}
        self._headers = {found: head for found, head in self._headers.items() if found in self._since}
        for found in seen.files:
            if self._is_new(found) and self._has_arrived(found, found in before, now):
                self._take(found, report)
        self._sets(report)
        report.records.sort(key=lambda record: record.start)
        return report

    def _remember(self, record: ObservationRecord) -> None:
        self._known[record.id] = record
        for file in record.files:
            self._used[file.path, file.bytes] = record.id

    def _is_new(self, found: Found) -> bool:
        if found in self._listed:
            return False
        inside = found.path.is_relative_to(self.incoming)
        name = str(found.path.relative_to(self.incoming) if inside else found.path)
        # a service may have died between the records of two scans: a UVFITS file is listed again after a restart
        used = found.kind is Kind.UVH5 and (name, found.size) in self._used
        return not used and (str(found.path), found.size, found.mtime_ns) not in self._refused

    def _has_arrived(self, found: Found, unchanged: bool, now: datetime) -> bool:
        age_s = now.timestamp() - found.mtime_ns / 1e9
        return self.one_shot or unchanged or age_s >= self.policy.settle_s

    def _take(self, found: Found, report: ScanReport) -> None:
        """Read a file that arrived; a UVFITS file gives its records at once."""
        try:
            if found.kind is Kind.UVFITS:
                self._seal_scans(found, report)
            elif found not in self._headers:
                head = uvh5.read_header(found.path)
                _known_telescope(found.path, head.telescope)
                self._headers[found] = head
        except Refused as error:
            self._refuse(found, error, report)
        except OSError as error:
            report.problems.append(f"{found.path} cannot be read ({error.strerror}); mend its permissions")

    def _maker(self, now: datetime) -> Maker:
        return Maker(self.incoming, now, self.policy.expect, digest.content)

    def _seal_scans(self, found: Found, report: ScanReport) -> None:
        maker = self._maker(report.scanned_at)
        scans = uvfits.scans(found.path, self.policy.scan_gap_s)
        for scan in scans:
            _known_telescope(found.path, scan.telescope)
        made = [maker.of_scan(found.path, scan) for scan in scans]
        for record in made:
            known = self._known.get(record.id)
            if known is not None and known.files != record.files:
                self._refuse(found, self._late(found.path, known.id, record.files[0].digest), report)
                return
        for record in made:
            if record.id not in self._known:
                self._store(record, report)
        self._listed.add(found)

    def _sets(self, report: ScanReport) -> None:
        """Seal, end or list the file sets of the UVH5 files that are not in a record."""
        waiting = {found.path: (found, head) for found, head in self._headers.items() if self._is_new(found)}
        for heads in cluster(head for _, head in waiting.values()):
            identity = self._recorded(heads[0])
            if identity:
                for head in heads:
                    late = self._late(head.path, identity, digest.of_file(head.role, digest.content(head.path)))
                    self._refuse(waiting[head.path][0], late, report)
                continue
            found = inspect(heads, self.policy, digest.content)
            arrived = max(self._since[waiting[head.path][0]] for head in heads)
            if self._judge(found, heads[0], arrived, report):
                for path, error in found.refused.items():
                    self._refuse(waiting[path][0], error, report, coordinates.isot(heads[0].start_jd)[:10])

    def _judge(self, found: FileSet, first: Header, arrived: datetime, report: ScanReport) -> bool:
        """Write the record of a set that is complete or past its deadline; True if the set is final."""
        whole = not found.missing(self.policy.expect)
        due = arrived + timedelta(seconds=self.policy.deadline_s)
        late = self.one_shot or report.scanned_at >= due
        if not whole and not late:
            report.unsealed.append(self._unsealed(found, first, due))
            return False
        if not found.files:
            return True
        enough = whole or len(found.files) >= self.policy.min
        state = ObservationState.SEALED if enough else ObservationState.INCOMPLETE
        reasons = [*found.warnings, *self._explain(found)]
        if not whole:
            words = missing_words(len(found.files), self.policy.expect, found.missing(self.policy.expect))
            end = f"at the deadline ({self.policy.deadline_s:.0f} s after the last file)"
            reasons.insert(0, f"{words} {end}" if enough else f"{words} {end}; it will not be used")
        self._store(self._maker(report.scanned_at).of_set(found, state, tuple(reasons)), report)
        return True

    def _unsealed(self, found: FileSet, first: Header, due: datetime) -> UnsealedFact:
        words = missing_words(len(found.files), self.policy.expect, found.missing(self.policy.expect))
        wait = f"waits until {due:%H:%M:%S} UTC"
        reasons = "".join(f"; {sentence}" for sentence in self._explain(found))
        return UnsealedFact(start=coordinates.utc(first.start_jd), sentence=f"{words}; {wait}{reasons}")

    def _explain(self, found: FileSet) -> list[str]:
        """Return why missing subbands are missing: files refused here, and unreadable ones of about that name."""
        sentences = list(dict.fromkeys(str(error) for error in found.refused.values()))
        stamps = [s for s in (name_stamp(head.path.name) for head in found.files.values()) if s is not None]
        if not stamps:
            return sentences
        first = min(stamps)
        missing = found.missing(self.policy.expect)
        for refused in self._refused.values():
            name = Path(refused.path).name
            stamp = name_stamp(name)
            near = stamp is not None and abs((stamp - first).total_seconds()) <= self.policy.name_tolerance_s
            if near and subband_of(name) in missing and refused.sentence not in sentences:
                sentences.append(refused.sentence)
        return sentences

    def _recorded(self, head: Header) -> str:
        """Return the id of a final record of the same recording, or nothing."""
        identity = coordinates.isot(head.start_jd)
        if identity in self._known:
            return identity
        half = timedelta(seconds=head.integration_s / 2)
        start = coordinates.utc(head.start_jd)
        names = (coordinates.isot(head.start_jd + step / DAY_S) for step in range(-int(head.integration_s), 1))
        near = (self._known[name] for name in names if name in self._known)
        return next((record.id for record in near if abs(record.start - start) <= half), "")

    def _late(self, path: Path, identity: str, file_digest: str) -> Refused:
        record = self._known[identity]
        if file_digest in {file.digest for file in record.files}:
            return Refused(Reason.IDENTICAL_DUPLICATE, f"{path} is a copy of a file of {identity}; it may be removed")
        words = f"{path} came after observation {identity} was {record.state.value}"
        return Refused(Reason.LATE, f"{words} ({record.sealed_at:%Y-%m-%dT%H:%M:%SZ}); it is not used")

    def _store(self, record: ObservationRecord, report: ScanReport) -> None:
        records.store(self.observations_dir, record)
        self._remember(record)
        report.records.append(record)

    def _refuse(self, found: Found, error: Refused, report: ScanReport, date: str = "") -> None:
        if not date:
            stamp = name_stamp(found.path.name)
            date = stamp.date().isoformat() if stamp else "unknown"
        refused = records.store_quarantine(self.quarantine_dir, found, error, report.scanned_at, date)
        self._refused[refused.path, refused.size, refused.mtime_ns] = refused
        report.quarantined.append(refused)


def _known_telescope(path: Path, name: str) -> None:
    try:
        telescope_named(name)
    except BadInput as error:
        raise Refused(Reason.UNKNOWN_TELESCOPE, f"{path}: {error}") from error
