"""Where the groups stand, as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from contimg.host.resources import Status
from contimg.host.view import GroupView
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.reason import Phase
from contimg.models.survey import Survey
from contimg.telemetry import GROUP_SECONDS, GROUPS, GROUPS_OLDEST

__all__ = ["count_groups", "count_publication"]


def count_groups(views: Iterable[GroupView]) -> None:
    """Show how many groups have which condition for which reason, and since when the oldest unfinished ones wait."""
    found: Counter[tuple[str, ...]] = Counter()
    oldest: dict[tuple[str, ...], float] = {}
    for view in views:
        if view.status is None:
            continue
        GROUP_SECONDS.labels(view.group.spec.pipeline)  # from 0 on: a rise from nothing is no rise to Prometheus
        found.update((item.type, item.status, item.reason.value) for item in view.status.conditions)
        if not view.is_final and view.status.started is not None:
            phase, since = (view.status.phase.value,), view.status.started.timestamp()
            oldest[phase] = min(since, oldest.get(phase, since))
    GROUPS.set(found)
    GROUPS_OLDEST.set(oldest)


def count_publication(resource: ObservationGroup | Survey, old: Status | None, new: Status) -> None:
    """Count how long it took when a group comes to be published."""
    if not isinstance(resource, ObservationGroup) or not isinstance(new, GroupStatus):
        return
    known = old is not None and old.phase is Phase.PUBLISHED
    if new.phase is Phase.PUBLISHED and not known and new.started is not None and new.finished is not None:
        GROUP_SECONDS.labels(resource.spec.pipeline).observe((new.finished - new.started).total_seconds())
