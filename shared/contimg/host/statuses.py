"""When a status is written: on change only, a flip of a condition at once, anything else every ``status_s``."""

from __future__ import annotations

import asyncio

from contimg.errors import Unavailable
from contimg.host.counting import count_publication
from contimg.host.resources import Conflict, Resources, Status
from contimg.host.view import Shown
from contimg.limits import ProtocolLimits
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.survey import Survey
from contimg.telemetry import STATUS_WRITES

__all__ = ["StatusWriter"]


class StatusWriter:
    """Writes statuses to the resources."""

    def __init__(self, resources: Resources, limits: ProtocolLimits) -> None:
        self._resources, self._limits = resources, limits

    async def write(
        self, resource: ObservationGroup | Survey, shown: Shown, status: Status | None, *, held: bool = True
    ) -> float:
        """Write a status if it is time to; return after how many seconds to come again, 0 if it is written.

        Parameters
        ----------
        resource, shown, status
            Whose, what was written last, and what is to be written.
        held
            Whether it may be held back.

        Raises
        ------
        Conflict
            If the resource has changed since it was listed.
        Unavailable
            If it cannot be written now.
        """
        if status is None or status == shown.status:
            return 0.0
        now = asyncio.get_running_loop().time()
        wait = shown.at + self._limits.status_s - now
        if held and wait > 0 and not _flips(shown.status, status):
            return wait
        await self._put(resource, status)
        count_publication(resource, shown.status, status)
        shown.status, shown.at = status, now
        return 0.0

    async def _put(self, resource: ObservationGroup | Survey, status: Status) -> None:
        kind = type(resource).__name__
        try:
            await self._resources.put_status(resource, status)
        except (Conflict, Unavailable) as error:
            STATUS_WRITES.labels(kind, type(error).__name__).inc()
            raise
        STATUS_WRITES.labels(kind, "written").inc()


def _flips(old: Status | None, new: Status) -> bool:
    """Whether a word changed that people and programs wait for: the phase or a condition."""
    return old is None or _words(old) != _words(new)


def _words(status: Status) -> tuple[object, ...]:
    conditions = status.conditions if isinstance(status, GroupStatus) else ()
    return (status.phase, *((item.type, item.status, item.reason) for item in conditions))
