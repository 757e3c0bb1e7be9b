"""One stage run by hand on files: no group, no bus, no database, in this process.

The result is a directory with the products and a manifest, so that it can be given to the next stage by hand.
"""

from __future__ import annotations

import os
import re
import socket
import sys
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
from contimg.models.manifest import AttemptRecord, AttemptState, InputRef, Manifest, Usage
from contimg.models.observation import Role
from contimg.models.params import Scope, StageSpec, effective, load, spec_of
from contimg.models.task import Task
from contimg.stage import Stage, StageContext
from contimg.volume.attempt import MANIFEST, Attempt
from contimg.volume.commit import Made, drop_scratch, manifest_of, run_checksum
from contimg.volume.disk import remove_tree, write_durable
from contimg.volume.layout import Layout
from contimg.worker.bare import Given, recognise
from contimg.worker.child import plain, software_versions

__all__ = ["run_by_hand"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def run_by_hand(
    name: str,
    inputs: list[Path],
    params: dict[str, Any],
    out: Path,
    report: Callable[[int, int, str], None] | None = None,
) -> Manifest:
    """Run a stage on files and leave its products in a new directory.

    Parameters
    ----------
    name
        Stage.
    inputs
        Raw files, measurement sets, calibration tables, images, observation records, catalogs, run directories.
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
    if out.exists():
        raise BadConfig(f"{out} exists already; remove it or name another directory for the result")
    work = out.with_name(f".{out.name}.part")
    remove_tree(work)
    work.mkdir(parents=True)
    try:
        with tempfile.TemporaryDirectory() as view:
            given = recognise(name, inputs, Path(view))
            task = _task(spec, complete, given, inputs[0])
            manifest = _run(spec, task, given, work, Path(view), report)
        work.rename(out)
    finally:
        remove_tree(work)
    return manifest


def _task(spec: StageSpec, params: dict[str, Any], given: Given, first: Path) -> Task:
    runs = {type_: [run.manifest.task for run in found] for type_, found in given.inputs.items()}
    known = [run.manifest.unit for found in given.inputs.values() for run in found]
    unit = given.records[0].id if given.records else (known or [first.name.split(".")[0]])[0]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return Task(
        task=task_id(spec.name, spec.recipe_version, unit, params, {"runs": runs, "raw": [p.name for p in given.raw]}),
        stage=spec.name,
        recipe_version=spec.recipe_version,
        unit=unit,
        home=spec.home,
        group="byhand",
        date=unit[:10] if _DATE.fullmatch(unit[:10]) else today,
        params=params,
    )


def _run(
    spec: StageSpec, task: Task, given: Given, work: Path, view: Path, report: Callable[[int, int, str], None] | None
) -> Manifest:
    started, clock = datetime.now(UTC), time.monotonic()
    stage: Stage[Any] = load(spec.runner)()
    _configure_casa(view)
    result = stage.run(_context(spec, task, given, work, report))
    references = tuple(
        InputRef(task=run.manifest.task, home=home, sha256=run_checksum(run.manifest))
        for home, found in given.inputs.items()
        for run in found
    )
    made = Made(
        result=type(result)(result.products, result.figures, plain(result.info), result.date),
        inputs=references,
        raw=tuple(str(path) for path in given.raw),
        software=software_versions(),
    )
    own = psutil.Process()
    cpu = own.cpu_times()
    usage = Usage(wall_s=time.monotonic() - clock, cpu_s=cpu.user + cpu.system, peak_bytes=own.memory_info().rss)
    manifest = manifest_of(Attempt(work, _record(task, started), -1), task, made, usage)
    drop_scratch(work, manifest)
    write_durable(work / MANIFEST, manifest.model_dump_json(indent=1))
    return manifest


def _configure_casa(view: Path) -> None:
    if "contimg.radio" in sys.modules:
        from contimg.radio.casa import casa_environment  # noqa: PLC0415 - only where the stage brought contimg.radio

        directory = view / "casa"
        directory.mkdir()
        os.environ.update(casa_environment(directory))


def _record(task: Task, started: datetime) -> AttemptRecord:
    return AttemptRecord(
        task=task.task,
        number=1,
        stage=task.stage,
        unit=task.unit,
        group=task.group,
        state=AttemptState.RUNNING,
        host=socket.gethostname(),
        pid=os.getpid(),
        started=started,
    )


def _context(
    spec: StageSpec, task: Task, given: Given, work: Path, report: Callable[[int, int, str], None] | None
) -> StageContext[Any]:
    one = given.records[0] if given.records and spec.scope is Scope.OBSERVATION else None
    several = [] if one else given.records
    raw = given.raw or [Layout.from_environment().incoming / file.path for file in (one.files if one else ())]
    extra = {"report": report} if report else {}
    return StageContext(
        unit=task.unit,
        group=task.group,
        date=task.date,
        params=spec.params.model_validate(task.params),
        workdir=work,
        inputs=given.inputs,
        observation=one,
        members=tuple(record for record in several if record.role is Role.TARGET),
        calibrators=tuple(record for record in several if record.role is not Role.TARGET),
        raw=tuple(raw),
        reference=given.reference,
        options={"task": task.task},
        log=structlog.get_logger("contimg").bind(stage=spec.name),
        **extra,
    )
