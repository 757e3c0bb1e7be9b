"""What came of a run: products, figures and timings of exactly the runs that a group stands on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from contimg.engine.advance import Decision
from contimg.keeper.keeper import Keeper
from contimg.models.fact import GroupRecord, Needs
from contimg.models.group import GroupStatus
from contimg.models.manifest import Manifest
from contimg.models.reason import Phase
from contimg.models.spec import Scope, specs

__all__ = ["Outcome", "figures_of", "outcome_of"]


@dataclass(frozen=True)
class Outcome:
    """The end of a group in ``contimg run``."""

    group: str
    status: GroupStatus
    products: list[dict[str, str]]
    """``type``, ``path`` in the archive, ``sha256``, ``s3`` key (empty without an object store)."""
    figures: dict[str, dict[str, Any]]
    timings: dict[str, float]
    """Wall seconds by stage of the committed attempts, and ``total`` of this call."""
    stages_run: int
    """Attempts that this call started for the group."""
    info: dict[str, dict[str, Any]]
    """What the stages of scope group noted, by stage."""


def outcome_of(name: str, decision: Decision, keeper: Keeper, started: int, seconds: float) -> Outcome:
    """Collect what a group stands on from the keeper."""
    record = keeper.facts(Needs(group=name)).record
    runs = [manifest for task in _tasks(decision, keeper, record) if (manifest := keeper.queries.run(task))]
    timings = {stage: sum(run.usage.wall_s for run in runs if run.stage == stage) for stage in specs()}
    return Outcome(
        group=name,
        status=decision.status,
        products=[row for run in runs for row in _products(keeper, run, stored=bool(record and record.object_store))],
        figures=figures_of(runs),
        timings=timings | {"total": seconds},
        stages_run=started,
        info={run.stage: run.info for run in runs if specs()[run.stage].scope is Scope.GROUP},
    )


def _tasks(decision: Decision, keeper: Keeper, record: GroupRecord | None) -> list[str]:
    """Return the publish run and its inputs; before there is one, all that the group wanted."""
    if record is None or decision.status.phase not in {Phase.PUBLISHED, Phase.UNPUBLISHED}:
        return list(decision.wanted)
    manifest = keeper.queries.run(record.task)
    return [record.task, *(ref.task for ref in manifest.inputs)] if manifest else [record.task]


def _products(keeper: Keeper, run: Manifest, *, stored: bool) -> list[dict[str, str]]:
    sums = {product.path: product.sha256 for product in run.products}
    return [
        {
            "type": row["data_type"],
            "path": row["published_path"],
            "sha256": sums.get(row["path"], ""),
            "s3": row["s3_key"] if stored else "",
        }
        for row in keeper.queries.products(run.task)
        if row["state"] == "published"
    ]


def figures_of(runs: Iterable[Manifest]) -> dict[str, dict[str, Any]]:
    """Return the figures of runs by dotted name; those of one observation carry ``@<observation>``.

    ``image.rms@1995-04-13T09:33:00`` keeps the members of a group apart without changing the name of a figure.
    """
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        suffix = f"@{run.unit}" if specs()[run.stage].scope is Scope.OBSERVATION else ""
        for figure in run.figures:
            found[figure.name + suffix] = figure.model_dump(mode="json", exclude={"name"})
    return found
