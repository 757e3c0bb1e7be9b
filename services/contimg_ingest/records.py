"""Observation and quarantine records: how they are filled in, written once and read back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import ValidationError

from contimg.errors import Damaged
from contimg.models.base import Model, UtcTime
from contimg.models.observation import CalibratorTransit, ObservationRecord, ObservationState, RawFile
from contimg.models.quality import judge
from contimg.radio import calibrators, coordinates
from contimg.radio.telescopes import Telescope, telescope_named
from contimg.volume.files import write_atomic
from contimg_ingest import digest
from contimg_ingest.cluster import FileSet
from contimg_ingest.policy import Reason, Refused
from contimg_ingest.uvfits import Scan
from contimg_ingest.uvh5 import Header
from contimg_ingest.walk import Found

M = TypeVar("M", bound=Model)

__all__ = ["Maker", "QuarantineRecord", "load_observations", "load_quarantine", "store", "store_quarantine"]


class QuarantineRecord(Model):
    """``state/quarantine/<date>/<file name>.json``: a raw file that is not used."""

    path: str
    reason: Reason
    sentence: str
    size: int
    mtime_ns: int
    """With the size, the state of the file that was judged; a file that changed is judged anew."""
    time: UtcTime
    """When it was refused."""


@dataclass(frozen=True)
class Maker:
    """Fills observation records in."""

    incoming: Path
    now: datetime
    expect: int
    content: Callable[[Path], str]

    def of_set(self, found: FileSet, state: ObservationState, reasons: tuple[str, ...]) -> ObservationRecord:
        """Return the record of a UVH5 file set."""
        heads = [found.files[number] for number in sorted(found.files)]
        first = heads[0]
        telescope = telescope_named(first.telescope)
        mid = (first.start_jd + first.end_jd) / 2
        ra, dec = coordinates.meridian_icrs(np.array([mid]), np.radians(first.app_dec_deg), telescope)
        inside, later = _transits(first, telescope)
        return self._record(
            tuple(self._raw(head.path, head.role) for head in heads),
            telescope=telescope.key,
            state=state,
            start_jd=first.start_jd,
            end_jd=first.end_jd,
            integrations=first.integrations,
            integration_s=first.integration_s,
            ra_deg=float(np.degrees(ra[0])),
            dec_deg=float(np.degrees(dec[0])),
            expected=1 if first.subband is None else self.expect,
            calibrators=inside,
            next_transits=later,
            reasons=reasons,
            app_dec_deg=first.app_dec_deg,
        )

    def of_scan(self, path: Path, scan: Scan) -> ObservationRecord:
        """Return the record of one scan of a UVFITS file."""
        return self._record(
            (self._raw(path, f"scan-{scan.number}"),),
            telescope=telescope_named(scan.telescope).key,
            state=ObservationState.SEALED,
            start_jd=scan.start_jd,
            end_jd=scan.end_jd,
            integrations=scan.integrations,
            integration_s=scan.integration_s,
            ra_deg=scan.ra_deg,
            dec_deg=scan.dec_deg,
            role=scan.role,
            source=scan.source,
            scan=scan.number,
        )

    def _record(
        self,
        files: tuple[RawFile, ...],
        *,
        start_jd: float,
        end_jd: float,
        app_dec_deg: float | None = None,
        **rest: object,
    ) -> ObservationRecord:
        size = sum(file.bytes for file in files)
        dec = app_dec_deg if app_dec_deg is not None else rest["dec_deg"]
        figures = (
            judge("ingest.files", len(files)),
            judge("ingest.bytes", size, "byte"),
            judge("ingest.dec", float(str(dec)), "deg"),
            judge("ingest.integrations", float(str(rest["integrations"]))),
        )
        values = {
            "id": coordinates.isot(start_jd),
            "start": _to_ms(coordinates.utc(start_jd)),
            "end": _to_ms(coordinates.utc(end_jd)),
            "files": files,
            "digest": digest.of_set(file.digest for file in files),
            "bytes": size,
            "sealed_at": self.now,
            "figures": figures,
        }
        return ObservationRecord.model_validate(values | rest)

    def _raw(self, path: Path, role: str) -> RawFile:
        content = self.content(path)
        inside = path.is_relative_to(self.incoming)
        name = path.relative_to(self.incoming) if inside else path
        return RawFile(path=str(name), role=role, bytes=int(content.split()[0]), digest=digest.of_file(role, content))


def _to_ms(when: datetime) -> datetime:
    """Return the nearest millisecond: a Julian date resolves 40 µs, and people write whole seconds."""
    rounded = when + timedelta(microseconds=500)
    return rounded.replace(microsecond=rounded.microsecond // 1000 * 1000)


def _transits(
    head: Header, telescope: Telescope
) -> tuple[tuple[CalibratorTransit, ...], tuple[CalibratorTransit, ...]]:
    """Return the calibrators inside the recording and the next ones after it."""
    inside = calibrators.transits_inside(head.start_jd, head.end_jd, head.app_dec_deg, telescope)
    return inside, calibrators.next_transits(head.end_jd, head.app_dec_deg, telescope)


def store(directory: Path, record: ObservationRecord) -> Path:
    """Write ``<date>/<id>.json``; a record that exists is never changed."""
    path = directory / record.id[:10] / f"{record.id}.json"
    if not path.exists():
        write_atomic(path, record.model_dump_json(indent=1) + "\n")
    return path


def store_quarantine(directory: Path, found: Found, error: Refused, now: datetime, date: str) -> QuarantineRecord:
    """Write ``<date>/<file name>.json``, with a suffix when another file of that name is on record."""
    record = QuarantineRecord(
        path=str(found.path),
        reason=error.reason,
        sentence=str(error),
        size=found.size,
        mtime_ns=found.mtime_ns,
        time=now,
    )
    path = directory / date / f"{found.path.name}.json"
    if path.exists():
        state = hashlib.sha256(f"{found.path} {found.size} {found.mtime_ns}".encode()).hexdigest()[:8]
        path = path.with_name(f"{found.path.name}.{state}.json")
    write_atomic(path, record.model_dump_json(indent=1) + "\n")
    return record


def load_observations(directory: Path) -> Iterator[ObservationRecord]:
    """Return the records on disk in order of time.

    Raises
    ------
    Damaged
        If a record cannot be read.
    """
    return _load(directory, ObservationRecord, "observation")


def load_quarantine(directory: Path) -> Iterator[QuarantineRecord]:
    """Return the quarantine records on disk.

    Raises
    ------
    Damaged
        If a record cannot be read.
    """
    return _load(directory, QuarantineRecord, "quarantine")


def _load(directory: Path, model: type[M], noun: str) -> Iterator[M]:
    for path in sorted(directory.glob("*/*.json")):
        try:
            yield model.model_validate_json(path.read_bytes())
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise Damaged(f"{path} is no {noun} record ({what}); restore or remove it") from error
