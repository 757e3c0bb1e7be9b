"""One stage run by hand on files: no group, no bus, no database, in this process.

The result is a directory with the products and a manifest, so that it can be given to the next stage by hand.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import structlog

from contimg.errors import BadConfig
from contimg.models.identity import task_id
from contimg.models.manifest import Manifest, Usage
from contimg.models.observation import Role
from contimg.models.spec import Scope, StageSpec, effective, load, spec_of
from contimg.models.task import Task
from contimg.stage import Stage, StageContext
from contimg.volume import disk
from contimg.volume.attempt import new_record
from contimg.volume.commit import write_manifest
from contimg.volume.layout import Layout
from contimg.worker.bare import StageInputs, recognise
from contimg.worker.reply import reply_of
from contimg.worker.warm import thread_environment

__all__ = ["run_by_hand"]

Report = Callable[[int, int, str], None]


def run_by_hand(
    name: str, inputs: list[Path], params: dict[str, Any], out: Path, report: Report | None = None
) -> Manifest:
    """Run a stage on files and leave its products in a new directory.

    Parameters
    ----------
    name
        Stage.
    inputs
        What the stage recognises, observation records, reference data, run directories.
    params
        Parameters that differ from the stage's defaults.
    out
        Directory to make; it gets the products and ``manifest.json``.
    report
        Called with ``(done, total, what)``.

    Raises
    ------
    BadConfig
        If ``out`` exists, a parameter is wrong, or the stage is unknown.
    BadInput
        If an input is nothing that the stage reads.
    """
    spec = spec_of(name)
    complete = effective(spec, params)
    if not spec.makes:
        raise BadConfig(f"stage {name} has no tasks: it watches what arrives")
    if out.exists():
        raise BadConfig(f"{out} exists already; remove it or name another directory for the result")
    os.environ.update(thread_environment())
    work = out.with_name(f".{out.name}.part")
    disk.remove(work)
    work.mkdir(parents=True)
    try:
        with tempfile.TemporaryDirectory() as view:
            found = recognise(spec, inputs, Path(view))
            manifest = _run(spec, _task(spec, complete, found, inputs[0]), found, work, report)
        disk.rename(work, out)
    finally:
        disk.remove(work)
    return manifest


def _task(spec: StageSpec, params: dict[str, Any], found: StageInputs, first: Path) -> Task:
    runs = {type_: [run.manifest.task for run in same] for type_, same in found.runs.items()}
    known = [run.manifest for same in found.runs.values() for run in same]
    units = [record.id for record in found.records] + [manifest.unit for manifest in known]
    dates = [record.date for record in found.records] + [manifest.date for manifest in known]
    unit = (units or [first.name.split(".")[0]])[0]
    return Task(
        task=task_id(spec.name, spec.recipe_version, unit, params, {"runs": runs, "raw": [p.name for p in found.raw]}),
        stage=spec.name,
        recipe_version=spec.recipe_version,
        unit=unit,
        home=spec.home,
        group="byhand",
        date=(dates or [f"{datetime.now(UTC):%Y-%m-%d}"])[0],
        params=params,
    )


def _run(spec: StageSpec, task: Task, found: StageInputs, work: Path, report: Report | None) -> Manifest:
    record, clock = new_record(task), time.monotonic()
    stage: Stage[Any] = load(spec.runner)()
    context = _context(spec, task, found, work, report)
    reply = reply_of(spec.name, context, stage.run(context), spec.info)
    own = psutil.Process()
    cpu = own.cpu_times()
    usage = Usage(wall_s=time.monotonic() - clock, cpu_s=cpu.user + cpu.system, peak_bytes=own.memory_info().rss)
    return write_manifest(work, record.model_copy(update={"usage": usage}), task, reply).manifest


def _context(spec: StageSpec, task: Task, found: StageInputs, work: Path, report: Report | None) -> StageContext[Any]:
    one = found.records[0] if found.records and spec.scope is Scope.OBSERVATION else None
    several = [] if one else found.records
    raw = found.raw or [Layout.from_environment().raw_file(file) for file in (one.files if one else ())]
    extra: dict[str, Any] = {"report": report} if report else {}
    return StageContext(
        unit=task.unit,
        group=task.group,
        date=task.date,
        params=spec.params.model_validate(task.params),
        workdir=work,
        inputs=found.runs,
        observation=one,
        members=tuple(record for record in several if record.role is Role.TARGET),
        calibrators=tuple(record for record in several if record.role is not Role.TARGET),
        raw=tuple(raw),
        reference=found.reference,
        task=task.task,
        options=spec.options(),
        log=structlog.get_logger("contimg").bind(stage=spec.name),
        **extra,
    )
