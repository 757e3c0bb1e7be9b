"""What people are told of recordings: the parts that the sentences of several modules share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from contimg.models.fact import UnsealedFact
from contimg.models.group import Selection
from contimg.models.observation import ObservationRecord

__all__ = ["bounds", "clip", "details", "incompleteness", "several", "stamp", "waiting_for"]

MESSAGE = 1024
"""Characters of a message in a status."""
NAMED = 3
"""How many missing things a sentence names."""


def stamp(time: datetime) -> str:
    """Return a UTC time to the nearest second: ``2026-01-25T22:26:00``."""
    return (time + timedelta(seconds=0.5)).strftime("%Y-%m-%dT%H:%M:%S")


def clip(text: str, limit: int = MESSAGE) -> str:
    """Return the text, shortened to the limit."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def incompleteness(record: ObservationRecord) -> str:
    """Return why a recording cannot be used."""
    return "incomplete: " + ("; ".join(record.reasons) or "files are missing")


def several(number: int, thing: str) -> str:
    """Return a number of things: ``1 task``, ``2 tasks``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def waiting_for(missing: int, total: int, pending: Sequence[UnsealedFact], unseen: Sequence[str] = ()) -> str:
    """Return what is missing of how many observations, with the first few details."""
    return f"waiting for {missing} of {several(total, 'observation')}{details(pending, unseen)}"


def details(pending: Sequence[UnsealedFact], unseen: Sequence[str] = ()) -> str:
    """Return ``: <sentence>; <sentence>; …`` of the first few."""
    said = [_sentence(item) for item in pending] + list(unseen)
    if not said:
        return ""
    more = f"; and {len(said) - NAMED} more" if len(said) > NAMED else ""
    return ": " + "; ".join(said[:NAMED]) + more


def _sentence(item: UnsealedFact) -> str:
    name = item.id or stamp(item.start)
    return item.sentence if name in item.sentence else f"{name}: {item.sentence}"


def bounds(wish: Selection) -> str:
    """Return the bounds of a selection: its interval, or how many observations it names."""
    if wish.members:
        return f"of {several(len(wish.members), 'named observation')}"
    end = f", {stamp(wish.end)})" if wish.end is not None else ", …)"
    return f"[{stamp(wish.start)}{end}" if wish.start is not None else end
