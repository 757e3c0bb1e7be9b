"""File sets of any instrument: copies, what is missing, and the record of a set that is final."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from contimg.models.instrument import FileSet, Instrument, Piece, Refusal
from contimg.models.observation import ObservationRecord, ObservationState, RawFile
from contimg.models.quality import judge
from contimg_ingest import digest
from contimg_ingest.walk import Found

__all__ = ["Refused", "explain", "is_enough", "late", "missing_words", "record_of", "without_copies"]

NEAR_S = 150.0
"""A file whose name is that near to the start of a set may be what the set misses [s]; names are up to 100 s off."""
_SHOWN = 32
"""So many missing roles are named."""

Content = Callable[[Path], str]


@dataclass(frozen=True)
class Refused:
    """A refused file and what its name says it would have been."""

    role: str
    time: datetime
    sentence: str


def without_copies(files: FileSet, content: Content) -> FileSet:
    """Keep one of several files of one role: they are copies of each other, or none of them is believed.

    Parameters
    ----------
    files
        Of one recording.
    content
        Digest of a file's content; asked for roles that stand twice only.
    """
    kept: list[Piece] = []
    refused = dict(files.refused)
    by_role: dict[str, list[Piece]] = defaultdict(list)
    for piece in files.pieces:
        by_role[piece.role].append(piece)
    for role, same in by_role.items():
        unlike = len({content(piece.path) for piece in same}) > 1 if len(same) > 1 else False
        if unlike:
            refused |= _unlike(role, same)
            continue
        kept.append(same[0])
        refused |= {piece.path: _copy(piece.path, str(same[0].path)) for piece in same[1:]}
    return replace(files, pieces=tuple(kept), refused=refused)


def _unlike(role: str, same: Sequence[Piece]) -> dict[Path, Refusal]:
    names = ", ".join(str(piece.path) for piece in same)
    text = f"{names}: the same {role} of the same time with unlike content; keep the right one"
    return {piece.path: Refusal("unlike-duplicate", text) for piece in same}


def _copy(path: Path, of: str) -> Refusal:
    return Refusal("identical-duplicate", f"{path} is a copy of {of}, which is used; it may be removed")


def late(piece: Piece, record: ObservationRecord, group: str, content: Content) -> Refusal:
    """Return why a file that came after its set was final is not used.

    Parameters
    ----------
    piece
        What the file holds.
    record
        The final record of that recording.
    group
        A group that was published with it; empty: none, the record is sealed.
    content
        Digest of a file's content.
    """
    if digest.of_file(piece.role, content(piece.path)) in {file.digest for file in record.files}:
        return _copy(piece.path, f"a file of {record.id}")
    when = f"{record.sealed_at:%Y-%m-%dT%H:%M:%SZ}"
    words = f"{piece.path} ({piece.role}) came after observation {record.id} was {record.state.value} ({when}"
    words += f", {len(record.files)} of {record.expected} files)"
    words += f" and group {group} was published with it" if group else ""
    return Refusal("late", f"{words}; it is not used and may be removed")


def missing_words(files: FileSet) -> str:
    """Return ``13 of 16 files, missing sb03, sb07, sb09``."""
    names = ", ".join(files.missing[:_SHOWN]) + (", …" if len(files.missing) > _SHOWN else "")
    return f"{len(files.pieces)} of {len(files.expected)} files" + (f", missing {names}" if names else "")


def is_enough(files: FileSet) -> bool:
    """Tell whether the files of a set suffice at the deadline."""
    return not files.missing or len(files.pieces) >= files.least


def explain(files: FileSet, refused: Iterable[Refused]) -> list[str]:
    """Return why missing files are missing: those refused here, and unreadable ones of about that name."""
    sentences = [refusal.sentence for refusal in files.refused.values()]
    for each in refused:
        near = abs((each.time - files.start).total_seconds()) <= NEAR_S
        if near and each.role in files.missing:
            sentences.append(each.sentence)
    return list(dict.fromkeys(sentences))


def record_of(
    files: FileSet,
    instrument: Instrument,
    places: Mapping[Path, Found],
    reasons: Sequence[str],
    now: datetime,
    content: Content,
) -> ObservationRecord:
    """Return the record of a file set that is final.

    Parameters
    ----------
    files
        At least one file.
    instrument
        Describes the recording.
    places
        Where each file lies.
    reasons
        Why it is incomplete; warnings.
    now
        Time of the record.
    content
        Digest of a file's content.
    """
    said = instrument.describe(files)
    raw = tuple(_raw(piece.role, places[piece.path], content(piece.path)) for piece in files.pieces)
    size = sum(file.bytes for file in raw)
    figures = (judge("ingest.files", len(raw)), judge("ingest.bytes", size, "byte"), *said.figures)
    values = said.model_dump(exclude={"figures"}) | {
        "figures": figures,
        "instrument": instrument.name,
        "state": ObservationState.SEALED if is_enough(files) else ObservationState.INCOMPLETE,
        "files": raw,
        "digest": digest.of_set(file.digest for file in raw),
        "bytes": size,
        "expected": len(files.expected),
        "sealed_at": now,
        "reasons": tuple(reasons),
    }
    return ObservationRecord.model_validate(values)


def _raw(role: str, found: Found, file_content: str) -> RawFile:
    size = int(file_content.split(maxsplit=1)[0])
    return RawFile(path=found.name, root=found.root, role=role, bytes=size, digest=digest.of_file(role, file_content))
