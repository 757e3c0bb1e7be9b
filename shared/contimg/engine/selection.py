"""Which observations a group means, and when that is settled (P10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contimg.errors import BadConfig
from contimg.models.fact import Facts, UnsealedFact
from contimg.models.group import SELECTION_GRACE, GroupStatus, ObservationGroup, Selection
from contimg.models.observation import ObservationRecord, ObservationState, Role

__all__ = ["MESSAGE", "Block", "Selected", "clip", "incompleteness", "select", "stamp"]

SCAN_AGAIN = timedelta(seconds=30)
"""How soon to look again for the end of a scan by ingest."""
SCAN_SLACK = timedelta(seconds=5)
"""A host that scans and then looks has seen the group, though its clock says that the scan ended just before."""
MESSAGE = 1024
"""Characters of a message in a status."""
NAMED = 3
"""How many missing things a sentence names."""


@dataclass(frozen=True)
class Block:
    """Why something cannot go on."""

    reason: str
    """CamelCase word for a condition."""
    message: str
    stalled: bool = False
    """True: nothing in the normal course of events will end it; a person has to."""
    again: datetime | None = None
    """When to look again, if a time ends it."""


@dataclass(frozen=True)
class Selected:
    """The observations of a group as far as they are known."""

    targets: tuple[ObservationRecord, ...]
    """Final ones in time order, at most ``count``: the members; incomplete ones are members that failed."""
    calibrators: tuple[ObservationRecord, ...]
    """Sealed recordings of calibrators (pointed arrays) inside the selection, in time order."""
    incomplete: tuple[ObservationRecord, ...]
    """Everything inside the selection that ended incomplete."""
    expected: int
    """Members selected in the end, as far as one can tell now."""
    names: tuple[str, ...]
    """Ids of the targets, and of members shown before whose record is gone."""
    block: Block | None
    """Why the selection is not closed yet; None: it is."""

    @property
    def members(self) -> tuple[ObservationRecord, ...]:
        """Sealed targets."""
        return tuple(item for item in self.targets if item.state is ObservationState.SEALED)


def stamp(time: datetime) -> str:
    """Return a time as observation ids are written, to the nearest second: ``2026-01-25T22:26:00``."""
    return (time + timedelta(seconds=0.5)).strftime("%Y-%m-%dT%H:%M:%S")


def clip(text: str, limit: int = MESSAGE) -> str:
    """Return the text, shortened to the limit."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def incompleteness(record: ObservationRecord) -> str:
    """Return why a recording cannot be used."""
    return "incomplete: " + ("; ".join(record.reasons) or "files are missing")


def _of(telescope: str, facts: Facts, wish: Selection) -> tuple[ObservationRecord, ...]:
    own = tuple(item for item in facts.observations if item.telescope == telescope)
    foreign = [item for item in facts.observations if item.telescope != telescope and item.id in wish.members]
    if foreign:
        item = foreign[0]
        raise BadConfig(f"spec.observations.members: {item.id} was recorded by {item.telescope}, not {telescope}")
    return own


def _inside(records: Sequence[ObservationRecord], wish: Selection) -> list[ObservationRecord]:
    """Return the records the selection means, in time order, each once."""
    if wish.members:
        named = set(wish.members)
        found = {item.id: item for item in records if item.id in named}
    else:
        start, end = wish.start, wish.end
        found = {
            item.id: item
            for item in records
            if (start is None or item.start >= start) and (end is None or item.start < end)
        }
    return sorted(found.values(), key=lambda item: (item.start, item.id))


def _cut(records: list[ObservationRecord], count: int | None) -> list[ObservationRecord]:
    """Keep the first ``count`` targets and what was recorded before the last of them ended."""
    targets = [item for item in records if item.role is Role.TARGET]
    if count is None or len(targets) < count:
        return records
    last = targets[count - 1]
    return [item for item in records if item.start <= last.start]


def select(group: ObservationGroup, telescope: str, facts: Facts, now: datetime, seen: GroupStatus | None) -> Selected:
    """Return the members of a group and whether more may come.

    Parameters
    ----------
    group, telescope
        The wish; recordings of other telescopes are not looked at, and refused when they are named.
    facts, now
        What is known, and when.
    seen
        The status shown before; tells when the group was first seen and which members it had.

    Raises
    ------
    BadConfig
        If a named member belongs to another telescope.
    """
    wish = group.spec.observations
    known = facts.model_copy(update={"observations": _of(telescope, facts, wish)})
    records = _inside(known.observations, wish)
    records = _cut(records, wish.count)
    targets = tuple(item for item in records if item.role is Role.TARGET)
    others = [item for item in records if item.role is not Role.TARGET]
    gone = _gone(wish, seen, targets)
    return Selected(
        targets=targets,
        calibrators=tuple(item for item in others if item.state is ObservationState.SEALED),
        incomplete=tuple(item for item in records if item.state is ObservationState.INCOMPLETE),
        expected=_expected(wish, targets, others),
        names=tuple(sorted([*(item.id for item in targets), *gone])),
        block=_lost(gone) or _open(wish, known, now, seen, targets, others),
    )


def _expected(wish: Selection, targets: Sequence[ObservationRecord], others: Sequence[ObservationRecord]) -> int:
    if wish.members:
        return len(set(wish.members)) - len(others)
    return wish.count or len(targets)


def _open(
    wish: Selection,
    facts: Facts,
    now: datetime,
    seen: GroupStatus | None,
    targets: Sequence[ObservationRecord],
    others: Sequence[ObservationRecord],
) -> Block | None:
    """Return why the selection is not closed, or None."""
    pending = _unsealed_inside(wish, facts.ingest.unsealed, targets)
    block = (
        _named_missing(wish, targets, others, pending)
        or _count_missing(wish, targets, pending)
        or _end_open(wish, facts, now, len(targets), pending)
    )
    if block is not None:
        return block
    if not wish.members and pending:
        return Block("WaitingForObservations", f"waiting for {_several(len(pending), 'file set')}{_details(pending)}")
    if not wish.members and not _scanned(facts, now, seen):
        return Block("WaitingForScan", "waiting for ingest to finish a scan of incoming/", again=now + SCAN_AGAIN)
    if not targets:
        return Block("NoObservations", f"no target observation is inside the selection {_words(wish)}", stalled=True)
    return None


def _gone(wish: Selection, seen: GroupStatus | None, targets: Iterable[ObservationRecord]) -> list[str]:
    """Return members shown before that the selection still means but no record knows any more."""
    known = {item.id for item in targets}
    if seen is None or (wish.count is not None and len(known) >= wish.count):
        return []  # a late recording may push the last ones out of {start, count}; that is no loss
    return [name for name in seen.members if name not in known and _means(wish, name)]


def _lost(gone: Sequence[str]) -> Block | None:
    if not gone:
        return None
    text = f"the record of observation {gone[0]} is gone; restore it or edit spec.observations"
    return Block("InputsReleased", text, stalled=True)


def _means(wish: Selection, name: str) -> bool:
    if wish.members:
        return name in wish.members
    try:
        time = datetime.fromisoformat(name).replace(tzinfo=UTC)
    except ValueError:
        return False
    return (wish.start is None or time >= wish.start) and (wish.end is None or time < wish.end)


def _scanned(facts: Facts, now: datetime, seen: GroupStatus | None) -> bool:
    since = seen.started if seen is not None and seen.started is not None else now
    return facts.ingest.scanned is not None and facts.ingest.scanned >= since - SCAN_SLACK


def _unsealed_inside(
    wish: Selection, unsealed: Iterable[UnsealedFact], targets: Sequence[ObservationRecord]
) -> list[UnsealedFact]:
    """Return the file sets still being written that belong inside, in time order."""
    items = sorted({(item.start, item.sentence): item for item in unsealed}.values(), key=lambda item: item.start)
    if wish.members:
        names = set(wish.members)
        return [item for item in items if stamp(item.start) in names]
    items = [item for item in items if wish.start is not None and item.start >= wish.start]
    if wish.end is not None:
        return [item for item in items if item.start < wish.end]
    full = wish.count is not None and len(targets) >= wish.count
    return [item for item in items if item.start <= targets[-1].start] if full else items


def _named_missing(
    wish: Selection,
    targets: Sequence[ObservationRecord],
    others: Sequence[ObservationRecord],
    pending: Sequence[UnsealedFact],
) -> Block | None:
    known = {item.id for item in (*targets, *others)}
    missing = sorted(set(wish.members) - known)
    if not missing:
        return None
    writing = {stamp(item.start) for item in pending}
    unseen = [f"{name}: no files seen" for name in missing if name not in writing]
    text = _waiting_for(len(missing), len(set(wish.members)), pending, unseen)
    return Block("WaitingForObservations", text)


def _count_missing(
    wish: Selection, targets: Sequence[ObservationRecord], pending: Sequence[UnsealedFact]
) -> Block | None:
    if wish.count is None or len(targets) >= wish.count:
        return None
    return Block("WaitingForObservations", _waiting_for(wish.count - len(targets), wish.count, pending))


def _end_open(
    wish: Selection, facts: Facts, now: datetime, found: int, pending: Sequence[UnsealedFact]
) -> Block | None:
    if wish.end is None:
        return None
    deadline = wish.end + SELECTION_GRACE
    if now >= deadline or any(item.start >= wish.end for item in facts.observations):
        return None
    text = (
        f"{_several(found, 'observation')} so far; the selection closes when one that starts at or after "
        f"{stamp(wish.end)} is final, or at {stamp(deadline)}{_details(pending)}"
    )
    return Block("WaitingForObservations", text, again=deadline)


def _several(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _waiting_for(missing: int, total: int, pending: Sequence[UnsealedFact], unseen: Sequence[str] = ()) -> str:
    return f"waiting for {missing} of {_several(total, 'observation')}{_details(pending, unseen)}"


def _details(pending: Sequence[UnsealedFact], unseen: Sequence[str] = ()) -> str:
    """Return ``: <sentence>; <sentence>; …`` of the first few."""
    said = [_sentence(item) for item in pending] + list(unseen)
    if not said:
        return ""
    more = f"; and {len(said) - NAMED} more" if len(said) > NAMED else ""
    return ": " + "; ".join(said[:NAMED]) + more


def _sentence(item: UnsealedFact) -> str:
    name = stamp(item.start)
    return item.sentence if name in item.sentence else f"{name}: {item.sentence}"


def _words(wish: Selection) -> str:
    if wish.members:
        return f"of {_several(len(wish.members), 'named observation')}"
    end = f", {stamp(wish.end)})" if wish.end is not None else ", …)"
    return f"[{stamp(wish.start)}{end}" if wish.start is not None else end
