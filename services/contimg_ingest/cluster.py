"""File sets: which subband files are one recording, and what is wrong with some of them. Pure functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from contimg_ingest.policy import IngestPolicy, Reason, Refused
from contimg_ingest.uvh5 import DAY_S, Header, name_stamp

__all__ = ["FileSet", "cluster", "inspect", "missing_words"]


@dataclass
class FileSet:
    """The files of one recording after inspection."""

    files: dict[int, Header] = field(default_factory=dict)
    """By subband; a whole-band file has the key -1."""
    refused: dict[Path, Refused] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def missing(self, expect: int) -> list[int]:
        """Return the subbands that are not there; a whole-band file misses nothing."""
        return [] if -1 in self.files else [n for n in range(expect) if n not in self.files]


def missing_words(found: int, expect: int, missing: Iterable[int]) -> str:
    """Return ``13 of 16 subbands, missing sb03, sb07, sb09``."""
    names = ", ".join(f"sb{n:02d}" for n in missing)
    return f"{found} of {expect} subbands" + (f", missing {names}" if names else "")


def cluster(headers: Iterable[Header]) -> list[list[Header]]:
    """Put files together whose first integrations coincide within half an integration, per telescope.

    The time in the data decides; names differ by up to 82 s inside real sets (``dsa110.md`` 1.6).
    """
    sets: list[list[Header]] = []
    for head in sorted(headers, key=lambda h: (h.telescope, h.subband is None, h.first_jd, str(h.path))):
        last = sets[-1][0] if sets else None
        if last is not None and head.subband is not None and _together(last, head):
            sets[-1].append(head)
        else:
            sets.append([head])
    return sets


def _together(a: Header, b: Header) -> bool:
    near = abs(b.first_jd - a.first_jd) * DAY_S <= a.integration_s / 2
    return near and a.telescope == b.telescope and a.subband is not None


def inspect(headers: list[Header], policy: IngestPolicy, content: Callable[[Path], str]) -> FileSet:
    """Sort out duplicates, other pointings, other shapes and other frequencies of one file set.

    Parameters
    ----------
    headers
        Files of one cluster.
    content
        Digest of a file's content; asked for duplicates only.
    """
    found = FileSet()
    by_subband: dict[int, list[Header]] = defaultdict(list)
    for head in headers:
        by_subband[-1 if head.subband is None else head.subband].append(head)
    for number, same in sorted(by_subband.items()):
        _deduplicate(found, number, same, content)
    _odd_ones(found, Reason.MIXED_DEC, "points at Dec {value:.4f}°", lambda h: h.app_dec_deg, policy.dec_tolerance_deg)
    _odd_ones(found, Reason.WRONG_SHAPE, "holds {value:.0f} rows", lambda h: float(h.rows), 0.5)
    _odd_ones(found, Reason.WRONG_SHAPE, "holds {value:.0f} channels", lambda h: float(h.channels), 0.5)
    _odd_ones(found, Reason.WRONG_FREQUENCY, "puts sb00 at {value:.0f} Hz", _sb00_hz(found), 1e4)
    _name_warning(found, policy)
    return found


def _deduplicate(found: FileSet, number: int, same: list[Header], content: Callable[[Path], str]) -> None:
    first = same[0]
    others = {head.path: content(head.path) for head in same} if len(same) > 1 else {}
    if len(set(others.values())) > 1:
        names = ", ".join(str(head.path) for head in same)
        text = f"{names}: the same subband {first.role} of the same time with unlike content; keep the right one"
        found.refused |= {head.path: Refused(Reason.UNLIKE_DUPLICATE, text) for head in same}
        return
    found.files[number] = first
    for head in same[1:]:
        text = f"{head.path} is a copy of {first.path}, which is used; it may be removed"
        found.refused[head.path] = Refused(Reason.IDENTICAL_DUPLICATE, text)


def _sb00_hz(found: FileSet) -> Callable[[Header], float]:
    """Return the function that says where a file's frequency and subband number put the first channel of sb00.

    The step between subbands is the median over all pairs, so that a few files with a wrong frequency stand out.
    """
    first = {number: head.freq_hz for number, head in found.files.items()}
    steps = [(first[a] - first[b]) / (a - b) for a in first for b in first if a > b]
    step = float(np.median(steps)) if steps else 0.0
    return lambda head: head.freq_hz - (head.subband or 0) * step


def _odd_ones(found: FileSet, reason: Reason, words: str, value: Callable[[Header], float], tolerance: float) -> None:
    """Refuse the files whose value differs from that of the majority; without a majority all of them."""
    heads = found.files
    if len(heads) < 2:
        return
    values = {number: value(head) for number, head in heads.items()}
    votes = Counter({n: sum(abs(w - v) <= tolerance for w in values.values()) for n, v in values.items()})
    number, most = votes.most_common(1)[0]
    common = values[number] if 2 * most > len(values) else float("nan")
    for n, v in values.items():
        if not abs(v - common) <= tolerance:
            others = "the others of its set do not" if np.isfinite(common) else "its file set disagrees with itself"
            text = f"{heads[n].path} {words.format(value=v)}, {others}; remove the file of the other recording"
            found.refused[heads[n].path] = Refused(reason, text)
    found.files = {n: head for n, head in heads.items() if head.path not in found.refused}


def _name_warning(found: FileSet, policy: IngestPolicy) -> None:
    stamps = [s for s in (name_stamp(head.path.name) for head in found.files.values()) if s is not None]
    spread = (max(stamps) - min(stamps)).total_seconds() if stamps else 0.0
    if spread > policy.name_tolerance_s:
        text = f"the names of this file set differ by {spread:.0f} s (limit {policy.name_tolerance_s:.0f} s)"
        found.warnings.append(f"{text}; its data times agree, so it is used")
