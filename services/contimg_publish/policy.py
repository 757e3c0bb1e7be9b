"""Whether a group is published, and which of its products."""

from __future__ import annotations

from contimg.errors import BadInput
from contimg.models.group import Policy, PublishSpec
from contimg.models.plan import PlanItem, plan_item
from contimg.models.quality import Verdict
from contimg.models.spec import data_types
from contimg.stage import Run

__all__ = ["allowed", "items"]


def allowed(spec: PublishSpec, verdict: Verdict, failing: list[str]) -> str:
    """Return why the group must not be published; an empty string allows it.

    Parameters
    ----------
    spec
        Policy and approval.
    verdict
        Worst verdict of the group's runs.
    failing
        What made it so, for the sentence.
    """
    because = f"verdict {verdict.value} ({'; '.join(failing[:3])})" if failing else f"verdict {verdict.value}"
    if spec.policy is Policy.ALWAYS:
        return ""
    if spec.policy is Policy.MANUAL:
        return "" if spec.approve else "policy manual waits for a person: set publish.approve to true"
    if spec.policy is Policy.ON_QA_PASS:
        return "" if verdict is Verdict.PASS else f"policy on-qa-pass forbids {because}"
    return "" if verdict is not Verdict.FAILED else f"policy unless-failed forbids {because}"


def items(runs: list[Run], group: str, date: str, include: tuple[str, ...]) -> list[PlanItem]:
    """Return the products to publish: those of the types that are always published, and the optional ones asked for.

    Raises
    ------
    BadInput
        If two products would get one name.
    """
    found: list[PlanItem] = []
    for run in runs:
        for product in run.manifest.products:
            row = data_types()[product.type]
            if row.archive and row.include in {"", *include}:
                directory = (run.path / product.path).is_dir()
                found.append(plan_item(product, run.manifest.task, group, date, directory=directory))
    seen: dict[tuple[str, str], PlanItem] = {}
    for item in found:
        other = seen.setdefault((data_types()[item.type].archive, item.name), item)
        if other is not item and (other.task, other.path) != (item.task, item.path):
            msg = f"{item.path} of task {item.task} and {other.path} of task {other.task} would both be {item.name}"
            raise BadInput(msg)
    return list(seen.values())
