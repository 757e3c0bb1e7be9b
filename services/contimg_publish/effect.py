"""What the parent does after a run of stage publish is committed: it carries out the plan its child wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from contimg.archive import Archive
from contimg.models.fact import GroupRecord
from contimg.models.plan import Plan
from contimg.models.task import Task
from contimg.objectstore import S3Target
from contimg.stage import Run
from contimg.volume.layout import Layout

__all__ = ["publish"]


def publish(run: Run, task: Task, layout: Layout) -> list[dict[str, Any]]:
    """Copy, upload, verify, names, pointer; return the group's record, to be registered.

    The object store is what ``CONTIMG_S3_URL`` says.

    Raises
    ------
    contimg.errors.ContimgError
        As :meth:`contimg.archive.Archive.publish`.
    """
    plan = Plan.model_validate_json(run.product("metadata", "plan").read_bytes())
    archive = Archive(layout, S3Target.from_environment())
    if plan.publish:
        archive.publish(plan, run)
    record = GroupRecord(
        group=task.group,
        spec_digest=task.spec_digest,
        task=task.task,
        published=plan.publish,
        policy=plan.policy,
        reason=plan.reason,
        verdict=plan.verdict,
        at=datetime.now(UTC),
        members=task.members,
        object_store=archive.store_url if plan.publish else "",
    )
    return [{"kind": "group", "record": record.model_dump(mode="json")}]
