"""Stage publish, the part in the child: verdict, report, provenance and plan. The worker carries the plan out."""

from __future__ import annotations

import json
from typing import Any

from contimg.models.manifest import Manifest
from contimg.models.plan import Plan
from contimg.models.quality import Verdict, judge, worst
from contimg.provenance import prov_document
from contimg.stage import ProductDraft, Run, Stage, StageContext, StageResult
from contimg_publish.params import PublishParams
from contimg_publish.policy import allowed, items
from contimg_publish.report import render

__all__ = ["PublishStage"]

ORDER = ("raw_ms", "group", "calibration_table", "calibrated_ms", "image", "mosaic", "catalog")


class PublishStage(Stage[PublishParams]):
    """Decide on a group's products and describe them."""

    @staticmethod
    def warm_up() -> None:
        """Nothing to compile."""

    def run(self, context: StageContext[PublishParams]) -> StageResult:
        """Write plan, report and provenance.

        Raises
        ------
        BadInput
            If two products would get one name.
        """
        runs = _all_runs(context)
        manifests = [run.manifest for run in runs]
        spec = context.options.publish
        verdict = worst([manifest.verdict for manifest in manifests])
        reason = allowed(spec, verdict, _failing(manifests, verdict))
        plan = Plan(
            group=context.unit,
            date=context.date,
            policy=spec.policy.value,
            publish=not reason,
            reason=reason,
            verdict=verdict,
            items=tuple(items(runs, context.unit, context.date, spec.include)),
        )
        files = {"plan": f"plan_{context.unit}.json", "provenance": f"provenance_{context.unit}.json"}
        (context.workdir / files["plan"]).write_text(plan.model_dump_json(indent=1))
        (context.workdir / files["provenance"]).write_text(json.dumps(prov_document(manifests), indent=1))
        failure = _report(context, plan, runs)
        if not failure:
            files["report"] = f"report_{context.unit}.html"
        day, unit = context.date, context.unit
        drafts = [ProductDraft("metadata", f"{role}_{unit}", f, (f"{day}/{f}",), role) for role, f in files.items()]
        figures = (
            judge("publish.products", float(len(plan.items))),
            judge("publish.bytes", float(sum(item.bytes for item in plan.items)), "byte"),
        )
        return StageResult(tuple(drafts), figures, _info(plan, failure), context.date)


def _all_runs(context: StageContext[PublishParams]) -> list[Run]:
    """Return every input run once, in the order of the stages."""
    types = [name for name in ORDER if name in context.inputs]
    types += sorted(set(context.inputs) - set(types))
    found = {run.manifest.task: run for name in types for run in context.runs(name)}
    return list(found.values())


def _failing(manifests: list[Manifest], verdict: Verdict) -> list[str]:
    """Return the figures that have the worst verdict, in words."""
    if verdict is Verdict.PASS:
        return []
    bad = [(m, f) for m in manifests for f in m.figures if f.verdict is verdict]
    words = [f"{f.name} {'missing' if f.value is None else format(f.value, '.4g')} of {m.unit}" for m, f in bad]
    return words or [f"{m.stage} of {m.unit}" for m in manifests if m.verdict is verdict]


def _report(context: StageContext[PublishParams], plan: Plan, runs: list[Run]) -> str:
    """Write the report; return why it could not be made."""
    try:
        page = render(plan, runs, context.params)
        (context.workdir / f"report_{context.unit}.html").write_text(page)
    except Exception as error:  # noqa: BLE001 - contract: a report that fails does not fail the product
        context.log.warning("report failed", group=context.unit, error=repr(error))
        return f"the report could not be made: {type(error).__name__}: {error}"
    return ""


def _info(plan: Plan, failure: str) -> dict[str, Any]:
    return {
        "publish": plan.publish,
        "reason": plan.reason,
        "verdict": plan.verdict.value,
        "policy": plan.policy,
        "items": len(plan.items),
        "report_failure": failure,
    }
