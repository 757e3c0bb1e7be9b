"""What would be decided about a group now: a question that writes nothing and starts no server."""

from __future__ import annotations

from datetime import UTC, datetime

from contimg.engine.advance import Decision, advance
from contimg.engine.inquiry import needs
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.keeper.lock import holder
from contimg.keeper.readonly import open_readonly
from contimg.models.fact import Facts, Needs
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.pipeline import Pipeline
from contimg.models.spec import specs
from contimg.volume.layout import Layout

__all__ = ["look_at"]


def look_at(layout: Layout, group: ObservationGroup, pipeline: Pipeline) -> Decision:
    """Decide once, without asking for anything: while a process works here, what that one decided last.

    Raises
    ------
    Damaged
        If a database must be made anew first.
    """
    known = ResourceStore(layout).status(group.name)
    if known is not None and holder(layout):
        return Decision((), known)
    now = datetime.now(UTC)
    return advance(group, pipeline, specs(), _facts(layout, group, pipeline, now, known), now, known)


def _facts(
    layout: Layout, group: ObservationGroup, pipeline: Pipeline, now: datetime, known: GroupStatus | None
) -> Facts:
    """Ask what is on record; nothing, where nothing was run yet."""
    facts, asked = Facts(), list[Needs]()
    try:
        reader = open_readonly(layout)
    except BadConfig:
        return facts
    try:
        while question := needs(group, pipeline, specs(), facts, asked, now, known):
            facts = facts.merged(reader.facts(question))
            asked.append(question)
    finally:
        reader.index.close()
    return facts
