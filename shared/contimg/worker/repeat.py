"""A committed task done again, elsewhere: what ``contimg verify`` compares with the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from contimg.errors import BadConfig
from contimg.limits import ProtocolLimits
from contimg.models.manifest import Manifest
from contimg.models.spec import spec_of
from contimg.models.task import Limits, Task
from contimg.stage import Run
from contimg.volume.attempt import new_record
from contimg.volume.commit import KEPT, write_manifest
from contimg.volume.layout import Layout
from contimg.worker.reply import read_reply
from contimg.worker.warm import WarmChild
from contimg.worker.watch import Pulse, Watch

__all__ = ["repeat", "task_of"]

SLOWER = 10
"""A repetition may take so many times as long: its pipeline may have raised the limit of the stage."""


def task_of(manifest: Manifest) -> Task:
    """Return the task whose run a manifest describes.

    Raises
    ------
    BadConfig
        If the installed stage has another recipe by now.
    """
    spec = spec_of(manifest.stage)
    if spec.recipe_version != manifest.recipe_version:
        made = f"recipe {manifest.recipe_version} of stage {spec.name}, installed is {spec.recipe_version}"
        raise BadConfig(f"run {manifest.task} was made by {made}; install the release that made it")
    inputs: dict[str, tuple[str, ...]] = {}
    for item in manifest.inputs:
        inputs[item.home] = (*inputs.get(item.home, ()), item.task)
    known = {name: getattr(manifest, name) for name in (*KEPT, "date")}
    limits = Limits(time_s=max(spec.time_limit_s, SLOWER * manifest.usage.wall_s))
    return Task(home=spec.home, inputs=inputs, limits=limits, **known)


async def repeat(
    layout: Layout,
    manifest: Manifest,
    scratch: Path,
    limits: ProtocolLimits | None = None,
    report: Callable[[int, int, str], None] = lambda *_: None,
) -> Run:
    """Run a committed task again in a cold child and leave its products in ``scratch/<task>``.

    Call it on the main thread. Nothing is committed, named or registered.

    Raises
    ------
    BadConfig
        If the directory exists or the stage has another recipe by now.
    contimg.errors.ContimgError, contimg.worker.reply.Unforeseen, contimg.worker.warm.ChildDied
        Whatever the attempt ends with.
    """
    task, limits = task_of(manifest), limits or ProtocolLimits()
    workdir = scratch / task.task
    if workdir.exists():
        raise BadConfig(f"{workdir} exists already; remove it or name another directory")
    workdir.mkdir(parents=True)
    record = new_record(task)
    child = await WarmChild.start(spec_of(task.stage), layout)
    try:
        watch = Watch(child, task, limits, Pulse(limits))
        reply = read_reply(await watch.run(workdir, report))
    finally:
        await child.end()
    return write_manifest(workdir, record.model_copy(update={"usage": watch.usage()}), task, reply)
