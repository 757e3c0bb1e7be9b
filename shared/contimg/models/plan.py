"""What the publish stage wants to see in the archive; the worker carries it out."""

from __future__ import annotations

from contimg.models.base import Model, TaskId
from contimg.models.manifest import Product
from contimg.models.quality import Verdict

__all__ = ["Plan", "PlanItem", "plan_item"]

SHARED_NAMES = {"image", "calibrated_ms"}
"""Types whose file names are those of observations: two overlapping groups publish them below their own names."""


class PlanItem(Model):
    """One product to publish."""

    type: str
    """Data type; also the home under which the run lies."""
    task: TaskId
    path: str
    """Path inside the run."""
    name: str
    """Published name, relative to the archive directory of the type: ``<date>/<file>``."""
    key: str
    """S3 key, ``<type>/<date>/<task>/<file>``; a directory becomes one tar."""
    sha256: str
    bytes: int
    role: str = ""
    directory: bool = False


class Plan(Model):
    """The decision and everything that follows from it."""

    schema_version: int = 1
    group: str
    date: str
    policy: str
    publish: bool
    reason: str = ""
    """Why it is not published."""
    verdict: Verdict
    items: tuple[PlanItem, ...]


def plan_item(product: Product, task: str, group: str, date: str, *, directory: bool) -> PlanItem:
    """Return the item of one product: where it will lie and under which name."""
    file = product.names[0].rsplit("/", 1)[-1] if product.names else product.path.rsplit("/", 1)[-1]
    name = f"{date}/{group}/{file}" if product.type in SHARED_NAMES else f"{date}/{file}"
    return PlanItem(
        type=product.type,
        task=task,
        path=product.path,
        name=name,
        key=f"{product.type}/{date}/{task}/{file}" + (".tar" if directory else ""),
        sha256=product.sha256,
        bytes=product.bytes,
        role=product.role,
        directory=directory,
    )
