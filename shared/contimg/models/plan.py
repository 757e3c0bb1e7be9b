"""What the last stage of a group wants to see in the archive, and under which names; the worker carries it out."""

from __future__ import annotations

from contimg.models.base import Model, TaskId
from contimg.models.manifest import Product
from contimg.models.quality import Verdict
from contimg.models.spec import data_types

__all__ = ["Plan", "PlanItem", "plan_item", "published_name", "s3_key"]


class PlanItem(Model):
    """One product to publish."""

    type: str
    """Data type; also the home under which the run lies."""
    task: TaskId
    path: str
    """Path inside the run, on staging and in the archive."""
    name: str
    """Published name, relative to the archive directory of the type: ``<date>/<file>``."""
    key: str
    """S3 key; a directory becomes one tar."""
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


def published_name(product: Product, group: str, date: str) -> str:
    """Return the name of a product relative to the archive directory of its type."""
    file = product.names[0].rsplit("/", 1)[-1] if product.names else product.path.rsplit("/", 1)[-1]
    return f"{date}/{group}/{file}" if data_types()[product.type].per_group else f"{date}/{file}"


def s3_key(product: Product, task: str, date: str, *, directory: bool) -> str:
    """Return ``<type>/<date>/<task>/<file>``, the type as the archive spells it."""
    return f"{data_types()[product.type].archive}/{date}/{task}/{product.path}" + (".tar" if directory else "")


def plan_item(product: Product, task: str, group: str, date: str, *, directory: bool) -> PlanItem:
    """Return the item of one product: where it will lie and under which name."""
    return PlanItem(
        type=product.type,
        task=task,
        path=product.path,
        name=published_name(product, group, date),
        key=s3_key(product, task, date, directory=directory),
        sha256=product.sha256,
        bytes=product.bytes,
        role=product.role,
        directory=directory,
    )
