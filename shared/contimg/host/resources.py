"""What the host asks of whoever keeps the resources: files on one machine, an API server on a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from contimg.errors import Retryable
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.pipeline import Pipeline
from contimg.models.survey import Survey, SurveyStatus

__all__ = ["Change", "Conflict", "Resource", "Resources", "Status", "named"]

Resource = ObservationGroup | Survey | Pipeline
Status = GroupStatus | SurveyStatus
R = TypeVar("R", ObservationGroup, Survey, Pipeline)


@dataclass(frozen=True)
class Change:
    """Something about a resource is new: it came, was edited, went."""

    kind: str
    name: str


class Conflict(Retryable):
    """A status was not taken because the resource has changed since it was listed."""


class Resources(Protocol):
    """The resources of one host."""

    async def list(self) -> Sequence[Resource]:
        """Return all of them with their status.

        Raises
        ------
        Unavailable
            If they cannot be listed now.
        """

    def watch(self) -> AsyncIterator[Change]:
        """Tell of changes as they happen; a change that is told of twice or too late does no harm."""

    async def create(self, group: ObservationGroup) -> None:
        """Add a group; one of this name that is there already stays as it is.

        Raises
        ------
        Unavailable
            If it cannot be added now.
        """

    async def put_status(self, resource: ObservationGroup | Survey, status: Status) -> None:
        """Replace the whole status of a resource as it was listed.

        Raises
        ------
        Conflict
            If it has changed since.
        Unavailable
            If it cannot be written now.
        """


def named(found: Iterable[Resource], kind: type[R]) -> dict[str, R]:
    """Return the resources of a kind by name, without those that are being deleted."""
    return {item.name: item for item in found if isinstance(item, kind) and not item.metadata.deletion_timestamp}
