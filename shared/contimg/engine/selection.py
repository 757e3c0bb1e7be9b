"""Which observations a group means, and when that is settled (P10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contimg.engine.words import bounds, details, several, stamp, waiting_for
from contimg.errors import BadConfig
from contimg.limits import ProtocolLimits
from contimg.models.decide import Block
from contimg.models.fact import Facts, IngestFact, UnsealedFact
from contimg.models.group import GroupStatus, ObservationGroup, Selection
from contimg.models.observation import ObservationRecord, ObservationState, Role
from contimg.models.reason import Reason

__all__ = ["Selected", "select"]


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


@dataclass(frozen=True)
class _Look:
    """What one look at a selection depends on."""

    group: ObservationGroup
    instrument: str
    records: tuple[ObservationRecord, ...]
    """Of the instrument, in time order."""
    ingest: IngestFact
    now: datetime
    previous: GroupStatus | None
    limits: ProtocolLimits

    @property
    def wish(self) -> Selection:
        return self.group.spec.observations


def select(
    group: ObservationGroup,
    instrument: str,
    facts: Facts,
    now: datetime,
    previous: GroupStatus | None,
    limits: ProtocolLimits,
) -> Selected:
    """Return the members of a group and whether more may come.

    Parameters
    ----------
    group, instrument
        The wish; recordings of other instruments are not looked at, and refused when they are named.
    facts, now
        What is known, and when.
    previous
        The status shown before; tells when the group was first seen and which members it had.
    limits
        How long a selection stays open.

    Raises
    ------
    BadConfig
        If a named member belongs to another instrument.
    """
    wish = group.spec.observations
    own = tuple(sorted(_own(wish, instrument, facts), key=lambda item: (item.start, item.id)))
    look = _Look(group, instrument, own, facts.ingest, now, previous, limits)
    records = _cut(_inside(own, wish), wish.count)
    targets = tuple(item for item in records if item.role is Role.TARGET)
    others = [item for item in records if item.role is not Role.TARGET]
    gone = _gone(look, targets)
    return Selected(
        targets=targets,
        calibrators=tuple(item for item in others if item.state is ObservationState.SEALED),
        incomplete=tuple(item for item in records if item.state is ObservationState.INCOMPLETE),
        expected=_expected(wish, targets, others),
        names=(*(item.id for item in targets), *gone),
        block=_lost(gone) or _open(look, targets, others),
    )


def _own(wish: Selection, instrument: str, facts: Facts) -> Iterable[ObservationRecord]:
    named = set(wish.members)
    foreign = next((i for i in facts.observations if i.instrument != instrument and i.id in named), None)
    if foreign is not None:
        raise BadConfig(
            f"spec.observations.members: {foreign.id} was recorded by {foreign.instrument}, not {instrument}"
        )
    return {item.id: item for item in facts.observations if item.instrument == instrument}.values()


def _inside(records: Sequence[ObservationRecord], wish: Selection) -> list[ObservationRecord]:
    """Return the records the selection means."""
    if wish.members:
        named = set(wish.members)
        return [item for item in records if item.id in named]
    start, end = wish.start, wish.end
    return [i for i in records if (start is None or i.start >= start) and (end is None or i.start < end)]


def _cut(records: list[ObservationRecord], count: int | None) -> list[ObservationRecord]:
    """Keep the first ``count`` targets and what was recorded before the last of them ended."""
    targets = [item for item in records if item.role is Role.TARGET]
    if count is None or len(targets) < count:
        return records
    last = targets[count - 1]
    return [item for item in records if (item.start, item.id) <= (last.start, last.id)]


def _expected(wish: Selection, targets: Sequence[ObservationRecord], others: Sequence[ObservationRecord]) -> int:
    if wish.members:
        return len(wish.members) - len(others)
    return wish.count or len(targets)


def _open(look: _Look, targets: Sequence[ObservationRecord], others: Sequence[ObservationRecord]) -> Block | None:
    """Return why the selection is not closed, or None."""
    wish, now = look.wish, look.now
    pending = _unsealed_inside(look, targets)
    block = (
        _named_missing(wish, targets, others, pending)
        or _count_missing(wish, targets, pending)
        or _end_open(look, len(targets), pending)
    )
    if block is not None:
        return block
    if not wish.members and pending:
        text = f"waiting for {several(len(pending), 'file set')}{details(pending)}"
        return Block(Reason.WAITING_FOR_OBSERVATIONS, text)
    if not wish.members and not _scanned(look):
        again = now + timedelta(seconds=look.limits.scan_again_s)
        text = f"waiting for a scan of incoming/ to finish{_problems(look)}"
        return Block(Reason.WAITING_FOR_SCAN, text, again=again)
    if not targets:
        text = f"no target observation is inside the selection {bounds(wish)}"
        return Block(Reason.NO_OBSERVATIONS, text, stalled=True)
    return None


def _gone(look: _Look, targets: Iterable[ObservationRecord]) -> list[str]:
    """Return members shown before that the selection still means but no record knows any more."""
    wish, seen, known = look.wish, look.previous, {item.id for item in targets}
    if seen is None or (wish.count is not None and len(known) >= wish.count):
        return []  # a late recording may push the last ones out of {start, count}; that is no loss
    same = seen.observed_generation == look.group.metadata.generation
    named = set(wish.members)
    return [name for name in seen.members if name not in known and (name in named if named else same)]


def _lost(gone: Sequence[str]) -> Block | None:
    if not gone:
        return None
    text = f"the record of observation {gone[0]} is gone; restore it or edit spec.observations"
    return Block(Reason.INPUTS_RELEASED, text, stalled=True)


def _scanned(look: _Look) -> bool:
    seen, scanned = look.previous, look.ingest.scanned
    since = seen.started if seen is not None and seen.started is not None else look.now
    return scanned is not None and scanned >= since - timedelta(seconds=look.limits.scan_slack_s)


def _problems(look: _Look) -> str:
    return f"; the watcher of arrivals says: {look.ingest.problems[0]}" if look.ingest.problems else ""


def _unsealed_inside(look: _Look, targets: Sequence[ObservationRecord]) -> list[UnsealedFact]:
    """Return the file sets still being written that belong inside, in time order."""
    wish = look.wish
    own = [item for item in look.ingest.unsealed if item.instrument in {"", look.instrument}]
    items = sorted({(item.start, item.sentence): item for item in own}.values(), key=lambda item: item.start)
    if wish.members:
        names = set(wish.members)
        return [item for item in items if item.id in names]
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
    missing = [name for name in wish.members if name not in known]
    if not missing:
        return None
    writing = {item.id for item in pending}
    unseen = [f"{name}: no files seen" for name in sorted(missing) if name not in writing]
    text = waiting_for(len(missing), len(wish.members), pending, unseen)
    return Block(Reason.WAITING_FOR_OBSERVATIONS, text)


def _count_missing(
    wish: Selection, targets: Sequence[ObservationRecord], pending: Sequence[UnsealedFact]
) -> Block | None:
    if wish.count is None or len(targets) >= wish.count:
        return None
    text = waiting_for(wish.count - len(targets), wish.count, pending)
    return Block(Reason.WAITING_FOR_OBSERVATIONS, text)


def _end_open(look: _Look, found: int, pending: Sequence[UnsealedFact]) -> Block | None:
    end = look.wish.end
    if end is None:
        return None
    deadline = end + timedelta(seconds=look.limits.closed_after_s)
    if look.now >= deadline or any(item.start >= end for item in look.records):
        return None
    text = (
        f"{several(found, 'observation')} so far; the selection closes when one that starts at or after "
        f"{stamp(end)} is final, or at {stamp(deadline)}{details(pending)}"
    )
    return Block(Reason.WAITING_FOR_OBSERVATIONS, text, again=deadline)
