"""What the host remembers of one group or survey between two looks; all of it may be lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from contimg.engine.advance import Decision
from contimg.host.resources import Status
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.reason import Phase, Reason
from contimg.models.survey import Left, Survey, SurveyStatus

__all__ = ["GroupView", "Shown", "SurveyView"]

FINAL = frozenset({Phase.PUBLISHED, Phase.UNPUBLISHED, Phase.FAILED, Phase.SUSPENDED})
"""Phases that time alone does not end."""
REFUSED = frozenset({Reason.BAD_CONFIG, Reason.NOT_JUDGED})
"""Reasons for which it is not known what a group wants."""


@dataclass
class Shown:
    """A status as it was last written."""

    status: Status | None = None
    at: float = float("-inf")
    """By the clock of the event loop."""


@dataclass
class GroupView:
    """One group."""

    group: ObservationGroup
    status: GroupStatus | None = None
    """The last one, whether written or not."""
    shown: Shown = field(default_factory=Shown)
    decision: Decision | None = None
    """The last one that was based on facts."""
    edited: bool = True
    """No decision stands on this spec yet."""

    def take(self, decision: Decision, *, informed: bool) -> None:
        """Remember a decision; one that was made without facts says nothing about what is wanted."""
        self.status = decision.status
        if informed:
            self.decision = decision
            self.edited = False

    def is_edited(self, group: ObservationGroup) -> bool:
        """Whether the wish, or the number that its status must name, is another one."""
        same = group.metadata.generation == self.group.metadata.generation
        return not (same and group.spec == self.group.spec)

    @property
    def phase(self) -> Phase | None:
        """Where it stood at the last look."""
        return self.status.phase if self.status is not None else None

    @property
    def is_final(self) -> bool:
        """Whether only an edit or new files can move it."""
        return not self.edited and self.phase in FINAL

    @property
    def refused_at(self) -> datetime:
        """Since when its wish cannot be told because it is refused; the beginning of time: it is not."""
        stalled = self.status.condition("Stalled") if self.status is not None else None
        if stalled is None or stalled.status != "True" or stalled.reason not in REFUSED:
            return datetime.min.replace(tzinfo=UTC)
        return stalled.last_transition_time

    @property
    def spared(self) -> frozenset[str]:
        """Tasks whose runs the clean-up must leave."""
        return frozenset(self.decision.wanted) if self.decision is not None else frozenset()

    @property
    def queueable(self) -> frozenset[str]:
        """Tasks that may lie in the queue."""
        return frozenset() if self.group.spec.suspend else self.spared

    def is_over(self, *, arriving: bool) -> bool:
        """Whether nothing will happen any more without a person, or without new files; see :meth:`Host.is_over`."""
        status, decision = self.status, self.decision
        if status is None or self.edited or decision is None or decision.tasks:
            return False
        succeeded, progressing = status.condition("Succeeded"), status.condition("Progressing")
        if succeeded is not None and succeeded.status == "True":
            return True
        if any(stage.running for stage in status.stages) or (
            progressing is not None and progressing.status == "Unknown"
        ):
            return False
        return not arriving or status.phase in FINAL | {Phase.STALLED}


@dataclass
class SurveyView:
    """One survey."""

    survey: Survey
    status: SurveyStatus | None = None
    """The last one that was based on observations."""
    shown: Shown = field(default_factory=Shown)
    left: dict[str, Left] | None = None
    """Recordings that had no group at the last look, with the reason; None: there was none yet."""

    def is_other(self, survey: Survey) -> bool:
        """Whether the wish, the number that its status must name, or what somebody else wrote there is another one."""
        now, was = survey.metadata.generation, self.survey.metadata.generation
        return (now, survey.spec, survey.status) != (was, self.survey.spec, self.shown.status)
