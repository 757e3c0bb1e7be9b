"""Few Events: one for each reason for which a group ended, stalled or was degraded, counted up when it comes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import structlog

from contimg.errors import ContimgError
from contimg.host.resources import Status
from contimg.models.group import Condition, GroupStatus, ObservationGroup
from contimg.models.resource import API_VERSION
from contimg_operator.api import Api, Body

__all__ = ["Events", "notable"]

_TOLD = {("Succeeded", "True"), ("Succeeded", "False"), ("Stalled", "True"), ("Degraded", "True")}
"""Conditions a person wants to hear of; what only waits says so in its status."""
_COMPONENT = "contimg-operator"
_log = structlog.get_logger(__name__)


def notable(old: Status | None, new: Status) -> Iterator[Condition]:
    """Yield the conditions of a new status that are worth an Event and have another reason than before."""
    if not isinstance(new, GroupStatus):
        return
    for condition in new.conditions:
        before = old.condition(condition.type) if isinstance(old, GroupStatus) else None
        same = before is not None and (before.status, before.reason) == (condition.status, condition.reason)
        if (condition.type, condition.status) in _TOLD and not same:
            yield condition


class Events:
    """Posts them; one that cannot be posted is no harm."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    async def tell(self, group: ObservationGroup, condition: Condition) -> None:
        """Make or count up the Event of a group and a reason."""
        name = f"{group.name}.{group.metadata.uid[:8]}.{condition.reason.lower()}"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._counts[name] += 1
        good = (condition.type, condition.status) == ("Succeeded", "True")
        body: Body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": self._api.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": group.kind,
                "name": group.name,
                "namespace": self._api.namespace,
                "uid": group.metadata.uid,
            },
            "reason": str(condition.reason),
            "message": condition.message,
            "type": "Normal" if good else "Warning",
            "count": self._counts[name],
            "firstTimestamp": self._first.setdefault(name, now),
            "lastTimestamp": now,
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
        }
        try:
            await self._api.apply_event(body)
        except ContimgError as error:
            _log.warning("event not posted", group=group.name, reason=str(condition.reason), error=str(error))

    def forget(self, group: str) -> None:
        """Forget a group that is gone."""
        for name in [name for name in self._first if name.startswith(f"{group}.")]:
            del self._first[name], self._counts[name]
