"""Standing orders: groups are formed from what arrives, published to the resources, and what fits none is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from contimg.engine.groups import LABEL, Formed, form_groups, is_formed_by, reach
from contimg.errors import Unavailable
from contimg.host.judging import KeeperFace
from contimg.host.resources import Resources
from contimg.host.view import GroupView, Shown, SurveyView
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts
from contimg.models.group import ObservationGroup
from contimg.models.pipeline import Pipeline
from contimg.models.reason import Phase, Reason
from contimg.models.survey import (
    UNGROUPED_SHOWN,
    FileSetRules,
    Left,
    Survey,
    SurveyStatus,
    UngroupedCount,
    UngroupedStatus,
)

__all__ = ["SurveyLook", "Surveys"]

REASON = 300
"""Characters of the reason why a recording is in no group."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SurveyLook:
    """What came of a look at a survey."""

    status: SurveyStatus
    look_again: datetime | None = None
    created: int = 0
    """Groups that were published."""


class Surveys:
    """The surveys of a shard.

    Parameters
    ----------
    keeper
        Knows the observations, and hands the rules for file sets to ingest.
    resources
        Get the groups.
    limits
        Times of the protocol.
    """

    def __init__(self, keeper: KeeperFace, resources: Resources, limits: ProtocolLimits) -> None:
        self._keeper, self._resources, self._limits = keeper, resources, limits
        self._views: dict[str, SurveyView] = {}
        self._told: dict[str, FileSetRules] | None = None

    def names(self) -> list[str]:
        """Return the names of all surveys."""
        return list(self._views)

    def view(self, name: str) -> SurveyView | None:
        """Return what is remembered of a survey."""
        return self._views.get(name)

    def take(self, found: Mapping[str, Survey]) -> list[str]:
        """Bring what we remember in line with the resources; return what is new or edited."""
        self._views = {name: view for name, view in self._views.items() if name in found}
        changed = []
        for name, survey in found.items():
            view = self._views.get(name)
            if view is None or view.is_other(survey):
                changed.append(name)
            if view is None:
                view = self._views[name] = SurveyView(survey, survey.status, Shown(survey.status))
            view.survey, view.shown.status = survey, survey.status
        return changed

    async def form(
        self,
        name: str,
        groups: Mapping[str, GroupView],
        pipelines: Mapping[str, Pipeline],
        shard: str,
        now: datetime,
    ) -> SurveyLook | None:
        """Form and publish the groups of a survey; None if there is no such survey any more."""
        view = self._views.get(name)
        if view is None:
            return None
        survey = view.survey
        labelled = [item.group for item in groups.values() if item.group.metadata.labels.get(LABEL) == name]
        ours = [group for group in labelled if is_formed_by(name, group)]
        if wrong := self._wrong(survey, pipelines, shard):
            return SurveyLook(_idle(view, Phase.STALLED, Reason.BAD_CONFIG, wrong, len(ours)))
        if survey.spec.suspend:
            return SurveyLook(
                _idle(view, Phase.SUSPENDED, Reason.SUSPENDED, "suspended: no group is formed", len(ours))
            )
        again = now + timedelta(seconds=self._limits.silent_again_s)
        try:
            return await self._follow(view, ours, pipelines, now)
        except Unavailable as error:
            _log.warning("the keeper is silent", survey=name, error=str(error))
            words = f"no group is formed now: {error}"[:1024]
            return SurveyLook(_idle(view, Phase.WAITING, Reason.FACTS_UNAVAILABLE, words, len(ours)), again)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this survey must not stop the others
            _log.exception("survey cannot be followed", survey=name)
            words = f"{type(error).__name__}: {error}"[:1024]
            return SurveyLook(_idle(view, Phase.STALLED, Reason.NOT_JUDGED, words, len(ours)), again)

    async def _follow(
        self, view: SurveyView, ours: Sequence[ObservationGroup], pipelines: Mapping[str, Pipeline], now: datetime
    ) -> SurveyLook:
        survey = view.survey
        await self._tell_rules(pipelines)
        facts = await self._observations(survey, ours, pipelines[survey.spec.pipeline].instrument)
        formed = form_groups(facts.observations, survey, ours, facts.ingest, now, self._limits)
        created, wrong = await self._publish(survey, formed.groups)
        if wrong:
            again = now + timedelta(seconds=self._limits.silent_again_s)
            return SurveyLook(_idle(view, Phase.WAITING, Reason.WAITING, wrong, len(ours) + created), again, created)
        inside = {item.id for item in facts.observations}
        view.status = _told(view, formed, inside, len(ours) + created)
        return SurveyLook(view.status, formed.look_again, created)

    async def _publish(self, survey: Survey, groups: Sequence[ObservationGroup]) -> tuple[int, str]:
        """Add groups to the resources; return how many were added, and in a sentence why no more."""
        for number, group in enumerate(groups):
            try:
                await self._resources.create(group)
            except Unavailable as error:
                _log.warning("a group that was formed cannot be written", group=group.name, error=str(error))
                return number, f"group {group.name} is formed but cannot be written now: {error}"[:1024]
            _log.info("formed", survey=survey.name, group=group.name)
        return len(groups), ""

    def _wrong(self, survey: Survey, pipelines: Mapping[str, Pipeline], shard: str) -> str:
        """Return in a sentence why a survey cannot be followed; empty if it can."""
        spec = survey.spec
        if spec.shard != shard:
            return f"spec.shard is {spec.shard!r}, this is shard {shard!r}; name one that exists"
        if spec.pipeline not in pipelines:
            return f"pipeline {spec.pipeline!r} is unknown; known are {', '.join(sorted(pipelines))}"
        chosen = pipelines[spec.pipeline].instrument
        for name, view in sorted(self._views.items()):
            other = pipelines.get(view.survey.spec.pipeline)
            same = other is not None and other.instrument == chosen and not view.survey.spec.suspend
            if name < survey.name and same and view.survey.spec.file_sets != spec.file_sets:
                return f"spec.fileSets differs from that of survey {name!r}: an instrument has one rule for file sets"
        return ""

    async def _tell_rules(self, pipelines: Mapping[str, Pipeline]) -> None:
        """Hand the rules of all surveys to the keeper, the first survey of an instrument counts."""
        rules: dict[str, FileSetRules] = {}
        for _, view in sorted(self._views.items()):
            chosen = pipelines.get(view.survey.spec.pipeline)
            if chosen is not None and not view.survey.spec.suspend:
                rules.setdefault(chosen.instrument, view.survey.spec.file_sets)
        if rules != self._told:
            await self._keeper.rules(rules)
            self._told = rules

    async def _observations(self, survey: Survey, ours: Sequence[ObservationGroup], instrument: str) -> Facts:
        """Return what one instrument recorded, from the last formed group on: what is older is settled."""
        start = reach(survey, ours)
        facts = page = await self._keeper.survey(start)
        while page.more:
            page = await self._keeper.survey(start, page.more)
            facts = facts.merged(page)
        seen = tuple(item for item in facts.observations if item.instrument == instrument)
        unsealed = tuple(item for item in facts.ingest.unsealed if item.instrument == instrument)
        ingest = facts.ingest.model_copy(update={"unsealed": unsealed})
        return facts.model_copy(update={"observations": seen, "ingest": ingest})


def _idle(view: SurveyView, phase: Phase, reason: Reason, message: str, groups: int) -> SurveyStatus:
    """Return the status of a survey that was not followed at this look: what it said of recordings stays."""
    now = {"observed_generation": view.survey.metadata.generation, "phase": phase, "reason": reason}
    old = view.status or SurveyStatus.model_validate(now)
    return old.model_copy(update=now | {"message": message, "groups": groups})


def _told(view: SurveyView, formed: Formed, inside: set[str], groups: int) -> SurveyStatus:
    """Return the status of a survey that was followed, with the latest ungrouped recordings.

    Parameters
    ----------
    inside
        Observations that were looked at; what an older status says of others is settled and stays.
    """
    named = view.status.ungrouped if view.status is not None else ()
    left = [
        UngroupedStatus(observation=item.observation, kind=item.kind, reason=item.reason[:REASON])
        for item in formed.ungrouped
    ]
    counts = _settled(view, {item.observation: item.kind for item in left}, inside)
    counts.update(item.kind for item in left)
    every = [*(item for item in named if item.observation not in inside), *left]
    waiting, alone = counts[Left.WAITING], counts.total() - counts[Left.WAITING]
    return SurveyStatus(
        observed_generation=view.survey.metadata.generation,
        phase=Phase.RUNNING,
        message=f"{groups} groups formed; of other recordings {waiting} wait for one, {alone} are in none",
        groups=groups,
        waiting=waiting,
        ungrouped_count=counts.total(),
        reasons=tuple(UngroupedCount(kind=kind, count=counts[kind]) for kind in Left if counts[kind]),
        ungrouped=tuple(every[-UNGROUPED_SHOWN:]),
    )


def _settled(view: SurveyView, left: dict[str, Left], inside: set[str]) -> Counter[Left]:
    """Count by reason what is left for good: it was counted before, and is not looked at any more.

    A host that starts knows what the status counts but not which of it: what is left now was left then.
    """
    found = Counter({item.kind: item.count for item in view.status.reasons} if view.status is not None else {})
    before = left if view.left is None else view.left
    found.subtract(before.values())
    found.update(kind for name, kind in before.items() if name not in inside)
    view.left = left
    return +found
