"""What the parent does after a stage's run is committed: publish carries out the plan its child wrote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from contimg.archive import Archive
from contimg.models.fact import GroupRecord
from contimg.models.plan import Plan
from contimg.models.task import Task
from contimg.stage import Run
from contimg.worker.handling import Effect

__all__ = ["publish_effect"]


def publish_effect(archive: Callable[[], Archive]) -> Effect:
    """Return the effect of stage publish: copy, upload, verify, names, pointer; it notes the group's record.

    Parameters
    ----------
    archive
        Gives the archive; may wait until an object store is up.
    """

    def effect(run: Run, task: Task) -> list[dict[str, Any]]:
        plan = Plan.model_validate_json(run.product("metadata", "plan").read_bytes())
        store = ""
        if plan.publish:
            archive().publish(plan, run)
            store = archive().store_url
        record = GroupRecord(
            group=task.group,
            spec_digest=task.spec_digest,
            task=task.task,
            published=plan.publish,
            reason=plan.reason,
            verdict=plan.verdict,
            at=datetime.now(UTC),
            members=task.members,
            object_store=store,
        )
        return [{"kind": "group", "record": record.model_dump(mode="json")}]

    return effect
