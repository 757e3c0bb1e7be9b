"""What a stage gets, built from the task message and the disk; used in the child."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from contimg.errors import BadInput, Retryable
from contimg.models.observation import ObservationRecord
from contimg.models.spec import StageOptions, StageParams
from contimg.models.task import Task
from contimg.stage import Run, StageContext
from contimg.volume import disk
from contimg.volume.commit import usable_run
from contimg.volume.layout import Layout
from contimg.volume.names import named_run

__all__ = ["build_context", "read_observation"]


def read_observation(layout: Layout, observation: str) -> ObservationRecord:
    """Return the record of an observation.

    Raises
    ------
    Retryable
        If it is not there (yet), or damaged.
    """
    path = layout.find_observation(observation)
    if path is None:
        where = layout.observations
        raise Retryable(f"the record of observation {observation} is missing below {where}; ingest writes it anew")
    try:
        return ObservationRecord.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise Retryable(f"the record {path} cannot be read; remove it, ingest writes it anew") from error


def _input_runs(layout: Layout, task: Task) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for home, ids in task.inputs.items():
        for one in ids:
            run = usable_run(layout, home, one)
            if run is None:
                path = layout.run(home, one)
                raise Retryable(f"the input run {path} of task {task.task} is missing; the engine asks for it again")
            found.setdefault(home, []).append(run)
    return found


def _raw_files(layout: Layout, observation: ObservationRecord) -> tuple[Path, ...]:
    paths = tuple(layout.raw_file(file) for file in observation.files)
    for path in paths:
        if path.exists() and not path.is_file():
            raise BadInput(f"raw file {path} of {observation.id} is no regular file; put the file back")
    return paths


def _reference(layout: Layout, wanted: dict[str, str]) -> dict[str, Path]:
    return {name: _verified(layout.reference_file(name), name, sha256) for name, sha256 in wanted.items()}


def _verified(path: Path, name: str, sha256: str) -> Path:
    try:
        found = disk.sha256_file(path)
    except FileNotFoundError as error:
        raise BadInput(f"reference data {name!r} is missing: put back {path}") from error
    if found != sha256:
        raise BadInput(f"reference data {name!r} ({path}) has sha256 {found}, the task wants {sha256}; it was changed")
    return path


def build_context(
    layout: Layout,
    task: Task,
    params: type[StageParams],
    options: type[StageOptions],
    workdir: Path,
    report: Callable[[int, int, str], None],
    log: Any,
) -> StageContext[Any]:
    """Return the context of a task.

    Raises
    ------
    Retryable
        If an input run or an observation record is missing; a damaged run was moved aside.
    BadInput
        If reference data is missing or is not what the task names.
    """
    inputs = _input_runs(layout, task)
    observation = read_observation(layout, task.observation) if task.observation else None
    return StageContext(
        unit=task.unit,
        group=task.group,
        date=task.date,
        params=params.model_validate(task.params),
        workdir=workdir,
        inputs=inputs,
        observation=observation,
        members=tuple(read_observation(layout, one) for one in task.members),
        calibrators=tuple(read_observation(layout, one) for one in task.calibrators),
        raw=_raw_files(layout, observation) if observation else (),
        reference=_reference(layout, task.reference),
        task=task.task,
        options=options.model_validate(task.options),
        find_previous=lambda: named_run(layout, task),
        report=report,
        log=log,
    )
