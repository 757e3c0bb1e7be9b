"""From a group to a decision: rounds of facts, then the engine; a group that cannot be judged stands alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from contimg.engine.advance import Decision, advance
from contimg.engine.inquiry import needs
from contimg.engine.status import refused
from contimg.errors import Unavailable
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts, Needs
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.pipeline import Pipeline
from contimg.models.reason import Reason
from contimg.models.spec import StageSpec
from contimg.models.survey import FileSetRules

__all__ = ["Judge", "KeeperFace", "refusal"]

ROUNDS = 100
"""Questions about one group in one look; each is asked because the answer before it named something new."""
_log = structlog.get_logger(__name__)


class KeeperFace(Protocol):
    """What the host asks of the keeper; ``contimg.keeper.service.KeeperClient`` has it over the bus."""

    async def facts(self, needs: Needs) -> Facts:
        """Answer one question about one group."""

    async def survey(self, start: datetime | None, after: str = "") -> Facts:
        """Return a page of the final observations from a time on, and where ingest stands."""

    async def wanted(self, tasks: Iterable[str]) -> None:
        """Take note of what unfinished groups want."""

    async def rules(self, rules: Mapping[str, FileSetRules]) -> None:
        """Hand the surveys' rules for file sets to ingest."""

    async def put_inputs(self, inputs: Mapping[str, Iterable[str]]) -> str:
        """Keep inputs that are too many for a message."""


@dataclass(frozen=True)
class Judge:
    """Asks the keeper, then the engine."""

    keeper: KeeperFace
    specs: Mapping[str, StageSpec]
    limits: ProtocolLimits

    async def decide(
        self,
        group: ObservationGroup,
        pipeline: Pipeline,
        now: datetime,
        previous: GroupStatus | None,
        known: Facts,
    ) -> tuple[Decision, bool]:
        """Return the decision about a group, and whether it stands on facts.

        Parameters
        ----------
        group, pipeline, now, previous
            As for :func:`contimg.engine.advance.advance`.
        known
            What the host knows of the bus: away, or full at the last look.
        """
        try:
            facts = known if known.bus_away else await self._learn(group, pipeline, now, previous)
            facts = facts.model_copy(update={"bus_full": known.bus_full})
            decision = advance(group, pipeline, self.specs, facts, now, previous, self.limits)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this group must not stop the others
            _log.exception("group cannot be judged", group=group.name)
            return refusal(group, now, previous, f"{type(error).__name__}: {error}", Reason.NOT_JUDGED), True
        return decision, not (facts.bus_away or facts.keeper_silent)

    async def _learn(
        self, group: ObservationGroup, pipeline: Pipeline, now: datetime, previous: GroupStatus | None
    ) -> Facts:
        facts, asked = Facts(), list[Needs]()
        try:
            while question := needs(group, pipeline, self.specs, facts, asked, now, previous, self.limits):
                if len(asked) == ROUNDS:
                    msg = f"{ROUNDS} questions about {group.name} were not enough"
                    raise RuntimeError(msg)
                facts = facts.merged(await self.keeper.facts(question))
                asked.append(question)
        except Unavailable as error:
            _log.warning("the keeper is silent", group=group.name, error=str(error))
            return Facts(keeper_silent=True)
        return facts


def refusal(
    group: ObservationGroup,
    now: datetime,
    previous: GroupStatus | None,
    message: str,
    reason: Reason = Reason.BAD_CONFIG,
) -> Decision:
    """Return the decision about a group that the host itself must refuse."""
    return Decision((), refused(group, now, previous, message, reason))
