"""What its stages do: counts in, sums out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contimg.models.quality import judge
from contimg.stage import ProductDraft, Run, Stage, StageContext, StageResult
from toyscope.params import JoinParams, SliceParams, TidyParams, WeighInfo, WeighParams
from toyscope.raw import counts_of


def _write(context: StageContext[Any], type_: str, content: object) -> tuple[ProductDraft, ...]:
    name = f"{type_}_{context.unit}.json"
    (context.workdir / name).write_text(json.dumps(content) + "\n")
    return (ProductDraft(type_, f"{type_}_{context.unit}", name, (f"{context.date}/{name}",)),)


def _read(run: Run, type_: str) -> Any:
    return json.loads(Path(run.product(type_)).read_text())


class Tidy(Stage[TidyParams]):
    """Leaves small counts out."""

    def run(self, context: StageContext[TidyParams]) -> StageResult:
        """Write the counts of one recording."""
        kept = [value for value in counts_of(context.raw[0]) if value >= context.params.least]
        level = sum(kept) / max(1, len(kept))
        figures = (judge("tidy.counts", float(len(kept)), failed_below=1.0),)
        return StageResult(_write(context, "toy_counts", kept), figures, {"level": level})


class Weigh(Stage[WeighParams]):
    """Finds the weight by a standard of level 10, or takes that of another group."""

    def run(self, context: StageContext[WeighParams]) -> StageResult:
        """Write the weight."""
        options = context.options
        if options.mode == "own":
            run = next(one for one in context.runs("toy_counts") if one.manifest.unit == options.standard)
            at, weight = context.members[0].start, 10.0 / run.manifest.info["level"]
        else:
            other = WeighInfo.model_validate(context.run("toy_weight").manifest.info)
            at, weight = other.at, other.weight
        info = {"mode": options.mode, "weight": weight, "at": at.isoformat(), "notes": sorted(context.reference)}
        return StageResult(_write(context, "toy_weight", weight), (), info)


class Slice(Stage[SliceParams]):
    """Sums up one part of the counts."""

    def run(self, context: StageContext[SliceParams]) -> StageResult:
        """Write the weighted sum of every ``parts``-th count."""
        weight = _read(context.run("toy_weight"), "toy_weight")
        chosen = slice(context.options.part, None, context.params.parts)
        total = weight * sum(sum(_read(run, "toy_counts")[chosen]) for run in context.runs("toy_counts"))
        return StageResult(_write(context, "toy_slice", total))


class Join(Stage[JoinParams]):
    """Adds the parts."""

    def run(self, context: StageContext[JoinParams]) -> StageResult:
        """Write the sum; an earlier one is only looked at, it changes no byte."""
        before = context.previous
        total = sum(_read(run, "toy_slice") for run in context.runs("toy_slice"))
        info = {"parts": len(context.runs("toy_slice")), "again": before is not None}
        return StageResult(_write(context, "toy_sum", total), (judge("join.sum", total),), info)
