"""What a group wants of each stage, and the recipes that name the tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from contimg.errors import BadConfig
from contimg.limits import ProtocolLimits
from contimg.models.group import ObservationGroup
from contimg.models.identity import canonical, task_id
from contimg.models.observation import ObservationRecord
from contimg.models.pipeline import Pipeline, PipelineStage
from contimg.models.spec import Scope, StageParams, StageSpec, complete, nearest
from contimg.models.task import Limits, Task

__all__ = ["Recipe", "StagePlan", "Wish", "plan_stages", "reference_for"]


@dataclass(frozen=True)
class StagePlan:
    """One stage of the pipeline with the parameters of this group."""

    spec: StageSpec
    stage: PipelineStage
    values: StageParams
    """Its parameters."""
    params: dict[str, Any]
    """The same, complete, as plain JSON values."""
    kept: str
    """JSON of the parameters that differ from the stage's defaults: their share of the recipe."""
    limits: Limits
    """Bounds of one attempt: the pipeline's where it says so, else the stage's."""

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.spec.name

    @property
    def per_observation(self) -> bool:
        """Whether it has one task per observation."""
        return self.spec.scope is Scope.OBSERVATION


@dataclass(frozen=True)
class Recipe:
    """Everything that enters the identity of one task beside stage and parameters."""

    task: str
    unit: str
    date: str
    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Task ids by data type."""
    raw_digest: str = ""
    observation: str = ""
    members: tuple[str, ...] = ()
    calibrators: tuple[str, ...] = ()
    reference: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wish:
    """A group with what is computed from it once per decision."""

    group: ObservationGroup
    digest: str
    """``group.spec.digest``."""

    def recipe(  # noqa: PLR0913 - the parts of a recipe are its identity
        self,
        plan: StagePlan,
        unit: str,
        date: str,
        inputs: dict[str, tuple[str, ...]],
        *,
        record: ObservationRecord | None = None,
        reads_raw: bool = False,
        members: tuple[str, ...] = (),
        calibrators: tuple[str, ...] = (),
        reference: dict[str, str] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Recipe:
        """Return the recipe of one task; its id follows from it."""
        reference, options = reference or {}, options or {}
        raw = record.digest if record is not None and reads_raw else ""
        said = json.dumps(options, sort_keys=True) if options else "{}"
        key = (tuple(sorted(inputs.items())), raw, tuple(sorted(reference.items())), said, members, calibrators)
        return Recipe(
            task=_task_id(plan.name, plan.spec.recipe_version, unit, plan.kept, key),
            unit=unit,
            date=date,
            inputs=inputs,
            raw_digest=raw,
            observation="" if record is None else record.id,
            members=members,
            calibrators=calibrators,
            reference=reference,
            options=options,
        )

    def task(self, plan: StagePlan, recipe: Recipe) -> Task:
        """Return the message that asks for a recipe."""
        group = self.group
        return Task(
            task=recipe.task,
            round=group.spec.replay,
            stage=plan.name,
            recipe_version=plan.spec.recipe_version,
            unit=recipe.unit,
            home=plan.spec.home,
            group=group.name,
            generation=group.metadata.generation,
            spec_digest=self.digest,
            date=recipe.date,
            params=plan.params,
            inputs=recipe.inputs,
            raw_digest=recipe.raw_digest,
            observation=recipe.observation,
            members=recipe.members,
            calibrators=recipe.calibrators,
            reference=recipe.reference,
            options=recipe.options,
            limits=plan.limits,
        )


Pairs = tuple[tuple[str, Any], ...]
Key = tuple[Pairs, str, Pairs, str, tuple[str, ...], tuple[str, ...]]


@lru_cache(maxsize=65536)
def _task_id(stage: str, version: int, unit: str, kept: str, key: Key) -> str:
    """Return the task id; cached, because every decision walks the whole group again."""
    inputs, raw, reference, options, members, calibrators = key
    parts = {
        "tasks": dict(inputs),
        "raw": raw,
        "reference": dict(reference),
        "options": json.loads(options),
        "members": members,
        "calibrators": calibrators,
    }
    return task_id(stage, version, unit, json.loads(kept), parts)


@lru_cache(maxsize=4096)
def _settings(stage: str, params: type[StageParams], given: str) -> tuple[StageParams, dict[str, Any], str]:
    """Return the parameters as object and as plain values, and JSON of those that differ from the defaults."""
    found, defaults = complete(stage, params, json.loads(given)), complete(stage, params, {})
    kept = {key: value for key, value in found.items() if canonical(value) != canonical(defaults[key])}
    return params.model_validate(found), found, json.dumps(kept, sort_keys=True)


def _plan(stage: PipelineStage, spec: StageSpec, given: Mapping[str, Any], limits: ProtocolLimits) -> StagePlan:
    try:
        text = json.dumps({**stage.params, **given}, sort_keys=True)
    except TypeError as error:
        raise BadConfig(f"spec.stages.{spec.name} holds a value that is no plain JSON: {error}") from error
    values, params, kept = _settings(spec.name, spec.params, text)
    bounds = Limits(time_s=stage.time_limit_s or spec.time_limit_s, tries=limits.tries)
    return StagePlan(spec=spec, stage=stage, values=values, params=params, kept=kept, limits=bounds)


def plan_stages(
    group: ObservationGroup, pipeline: Pipeline, specs: Mapping[str, StageSpec], limits: ProtocolLimits
) -> tuple[StagePlan, ...]:
    """Return the stages this group wants, in the order of the pipeline, with their effective parameters.

    Watchers have no task and are left out, as are optional stages with ``enabled: false``.

    Raises
    ------
    BadConfig
        If a stage, a parameter or a word of ``spec.publish.include`` is unknown or has a wrong value, or a stage is
        not installed.
    """
    for item in pipeline.stages:
        if item.stage not in specs:
            raise BadConfig(f"stage {item.stage!r} of pipeline {pipeline.name!r} is not installed; install its package")
    working = [item for item in pipeline.stages if specs[item.stage].scope is not Scope.WATCHER]
    names = [item.stage for item in working]
    for name in group.spec.stages:
        if name not in names:
            hint = nearest(name, names)
            raise BadConfig(f"spec.stages names {name!r}, which pipeline {pipeline.name!r} does not have{hint}")
    _check_include(group, [specs[name] for name in names])
    plans = [_plan(item, specs[item.stage], group.spec.stages.get(item.stage, {}), limits) for item in working]
    kept = [plan for plan in plans if not (plan.stage.optional and plan.params.get("enabled") is False)]
    _check_scopes(pipeline, kept)
    return tuple(kept)


def _check_include(group: ObservationGroup, chosen: list[StageSpec]) -> None:
    known = sorted({item.include for spec in chosen for item in spec.makes if item.include})
    for word in group.spec.publish.include:
        if word not in known:
            known_words = ", ".join(known) or "none"
            raise BadConfig(f"spec.publish.include names {word!r}{nearest(word, known)}; known are {known_words}")


def _check_scopes(pipeline: Pipeline, plans: list[StagePlan]) -> None:
    if not plans or plans[-1].spec.scope is not Scope.GROUP:
        raise BadConfig(f"pipeline {pipeline.name!r} must end with a stage of scope group")
    parts = {plan.name for plan in plans if plan.spec.scope is Scope.PARTITION}
    for plan in plans:
        if plan.per_observation and parts & set(plan.stage.reads):
            named = min(parts & set(plan.stage.reads))
            raise BadConfig(f"stage {plan.name!r} has scope observation and cannot read the partitions of {named!r}")


def reference_for(plan: StagePlan, known: Mapping[str, str], dates: tuple[str, ...]) -> dict[str, str]:
    """Return the reference data that enter a recipe: name to sha256, kind by kind as the stage declares them."""
    found: dict[str, str] = {}
    for kind in plan.spec.reference:
        if kind.by_date:
            wanted = [f"{kind.kind}:{date}" for date in dates]
            found |= {name: known[name] for name in wanted if name in known}
        else:
            found |= {name: known[name] for name in sorted(known) if name.startswith(f"{kind.kind}:")}
    return found
