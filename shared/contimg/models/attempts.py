"""When a task is tried again, and when it is given up: the one authority, for workers and keeper alike."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from contimg.errors import by_name
from contimg.limits import ProtocolLimits
from contimg.models.manifest import AttemptRecord, AttemptState

__all__ = ["Tally", "backoff_s", "given_up", "tally"]


@dataclass(frozen=True)
class Tally:
    """How often a task was tried in a round."""

    round: int
    failed: int = 0
    """Counted failures."""
    lost: int = 0
    """Workers lost; they have their own cap."""
    last: AttemptRecord | None = None
    """The last failure."""


def tally(records: Iterable[AttemptRecord], round_: int) -> Tally:
    """Count the failures of a task in ``round_``, or in a higher round when one is on record."""
    kept = sorted(records, key=lambda record: record.number)
    highest = max([round_, *(record.round for record in kept)])
    failed = [r for r in kept if r.round == highest and r.state is AttemptState.FAILED]
    return Tally(
        round=highest,
        failed=sum(r.counted for r in failed),
        lost=sum(r.error == "WorkerLost" for r in failed),
        last=failed[-1] if failed else None,
    )


def given_up(count: Tally, limits: ProtocolLimits, tries: int | None = None) -> bool:
    """Say whether no further attempt is made in the round that was counted.

    Parameters
    ----------
    count
        The failures on record.
    limits
        How many counted failures and how many lost workers are allowed.
    tries
        Instead of ``limits.tries``, where the task itself says so.
    """
    if count.last is not None and not by_name(count.last.error).retryable:
        return True
    return count.failed >= (limits.tries if tries is None else tries) or count.lost >= limits.lost_cap


def backoff_s(failed: int, limits: ProtocolLimits) -> float:
    """Return how long to wait after the ``failed``-th failure (from 1), spread by the jitter."""
    wait = min(limits.retry_base_s * limits.retry_factor ** max(failed - 1, 0), limits.retry_cap_s)
    return wait * random.uniform(1.0, 1.0 + limits.retry_jitter)  # noqa: S311 - spreads load, guards nothing
