"""``ObservationGroup``: what a user asks for, and the status they read."""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from contimg.limits import MEMBERS, MEMBERS_SHOWN
from contimg.models.base import GroupName, ObservationId, ResourceModel, TaskId, UtcTime, Word
from contimg.models.identity import canonical, digest
from contimg.models.quality import Verdict
from contimg.models.reason import Phase, Reason
from contimg.models.resource import API_VERSION, Metadata

__all__ = [
    "Condition",
    "GroupSpec",
    "GroupStatus",
    "ObservationGroup",
    "Policy",
    "PublishSpec",
    "Selection",
    "SourceName",
    "StageStatus",
    "UnitFailure",
]

SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._ -]{0,63}$")]
"""Name of a source, or ``auto``."""


class Selection(ResourceModel):
    """Which observations: ``{start, end}``, ``{start, count}`` or ``{members}``; starts lie in [start, end)."""

    start: UtcTime | None = None
    """Observations that start at or after this time, UTC."""
    end: UtcTime | None = None
    """… and before this time, UTC."""
    count: Annotated[int, Field(ge=1, le=MEMBERS)] | None = None
    """So many from ``start`` on."""
    members: Annotated[tuple[ObservationId, ...], Field(max_length=MEMBERS)] = ()
    """Observation ids."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = {"members"} if self.members else set()
        forms |= {"end"} if self.end is not None else set()
        forms |= {"count"} if self.count is not None else set()
        if len(forms) != 1:
            raise ValueError("give exactly one of end, count or members")
        if not self.members and self.start is None:
            raise ValueError("start is missing")
        if self.members and self.start is not None:
            raise ValueError("members and start exclude each other")
        twice = [name for name, number in Counter(self.members).items() if number > 1]
        if twice:
            msg = f"member {twice[0]!r} stands twice"
            raise ValueError(msg)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("end must be later than start")
        return self


class Policy(StrEnum):
    """When a product may be published."""

    ALWAYS = "always"
    UNLESS_FAILED = "unless-failed"
    ON_QA_PASS = "on-qa-pass"  # noqa: S105 - a policy, not a password
    MANUAL = "manual"


class PublishSpec(ResourceModel):
    """When and what to publish."""

    policy: Policy = Policy.UNLESS_FAILED
    approve: bool = False
    """With policy ``manual``: a person has looked and agrees."""
    include: Annotated[tuple[Word, ...], Field(max_length=20)] = ()
    """Optional products that are published too, by the words of their data types."""


@lru_cache(maxsize=4096)
def _digest(text: str) -> str:
    """Return the digest of a JSON text; every reconcile asks for it again."""
    return digest(json.loads(text))


class GroupSpec(ResourceModel):
    """The wish."""

    pipeline: GroupName
    """Name of the pipeline that makes the products."""
    observations: Selection
    """Which observations are its members."""
    calibrator: SourceName = "auto"
    """A name restricts the choice of the calibration to this calibrator."""
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Parameters that differ from the pipeline's defaults, by stage."""
    publish: PublishSpec = PublishSpec()
    min_members: Annotated[int, Field(ge=1)] | None = None
    """How many members must succeed; default all."""
    suspend: bool = False
    """Ask for nothing; running attempts go on."""
    replay: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Raise it to open another round of tries."""
    reprocess: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Raise it to use today's recipes and calibration for a complete group."""
    shard: Word = "main"
    """The staging volume where it is processed."""

    @field_validator("stages")
    @classmethod
    def _plain(cls, stages: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Refuse what has no identity: dates that YAML made, infinite and huge numbers."""
        try:
            canonical(stages)
        except (TypeError, ValueError) as error:
            msg = f"parameters must be plain text, booleans, lists and finite numbers: {error}"
            raise ValueError(msg) from error
        return stages

    @property
    def digest(self) -> str:
        """Digest of what the wish means: what differs from the defaults, without suspend, replay, policy, approve.

        A field that a release adds leaves the digest of every older wish as it was.
        """
        left_out: dict[str, Any] = {"suspend": True, "replay": True, "publish": {"policy", "approve"}}
        said = self.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
        said["stages"] = {name: given for name, given in self.stages.items() if given}
        return _digest(json.dumps({key: value for key, value in said.items() if value not in ({}, [])}))


class ObservationGroup(ResourceModel):
    """The resource; the same file serves ``kubectl apply`` and ``contimg run``."""

    api_version: Literal["contimg.dsa110.org/v1alpha1"] = API_VERSION
    kind: Literal["ObservationGroup"] = "ObservationGroup"
    metadata: Metadata
    spec: GroupSpec
    status: GroupStatus | None = None

    @property
    def name(self) -> str:
        """Id of the group."""
        return self.metadata.name


class Condition(ResourceModel):
    """A condition in the way of Kubernetes."""

    type: Literal["Succeeded", "Progressing", "Stalled", "Degraded"]
    """What it is about."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: Reason
    message: Annotated[str, Field(max_length=1024)]
    """The same in a sentence."""
    observed_generation: int
    """Generation of the spec that it speaks of."""
    last_transition_time: UtcTime
    """When its status flipped last."""


class UnitFailure(ResourceModel):
    """A unit of a stage that failed."""

    unit: str
    """Observation, group, or partition of a group."""
    error: str
    """Class of the failure."""
    message: str
    """What happened and what to do."""
    task: TaskId | None = None
    """Id of the task."""


class StageStatus(ResourceModel):
    """One line of the stage list."""

    stage: str
    """Name of the stage."""
    done: int
    """Units that are done."""
    total: int
    """``done``/``total`` is the ``7/10`` users see."""
    running: int = 0
    """Units at work."""
    failed: int = 0
    """Units given up."""
    failures: Annotated[tuple[UnitFailure, ...], Field(max_length=5)] = ()
    """The first of them."""
    seconds: float = 0.0
    """Wall seconds of the committed attempts together."""
    verdict: Verdict | None = None


class GroupStatus(ResourceModel):
    """The whole status of the resource."""

    observed_generation: int
    """Generation of the spec that this status speaks of."""
    phase: Phase
    stage: str = ""
    """The stage at work."""
    progress: str = "0/0"
    """Units of that stage that are done, of all of them."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Where it stands and what it waits for, in a sentence."""
    verdict: Verdict | None = None
    members: Annotated[tuple[ObservationId, ...], Field(max_length=MEMBERS_SHOWN)] = ()
    """The first ones in time order."""
    member_count: int = 0
    """All of them."""
    stages: tuple[StageStatus, ...] = ()
    """One line per stage, in the order of the pipeline."""
    conditions: tuple[Condition, ...] = ()
    """``Succeeded``, ``Progressing``, ``Stalled`` and ``Degraded``."""
    started: UtcTime | None = None
    """When the group was seen first."""
    finished: UtcTime | None = None
    """When it ended."""

    def condition(self, type_: str) -> Condition | None:
        """Return the condition of a type, or None."""
        return next((item for item in self.conditions if item.type == type_), None)


ObservationGroup.model_rebuild()
