"""What a stage gets, built from the task message and the disk; used in the child and by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contimg.errors import BadInput, Retryable
from contimg.models.manifest import InputRef
from contimg.models.observation import ObservationRecord
from contimg.models.params import StageParams
from contimg.models.task import Task
from contimg.stage import Run, StageContext
from contimg.volume.commit import read_run, run_checksum
from contimg.volume.files import sha256_file
from contimg.volume.layout import Layout

__all__ = ["Sources", "build_context", "read_observation", "reference_path"]


@dataclass(frozen=True)
class Sources:
    """What went into a context, for the manifest."""

    inputs: tuple[InputRef, ...]
    raw: tuple[str, ...]


def read_observation(layout: Layout, observation: str) -> ObservationRecord:
    """Return the record of an observation.

    Raises
    ------
    Retryable
        If it is not there (yet).
    """
    path = layout.observations / observation[:10] / f"{observation}.json"
    try:
        return ObservationRecord.model_validate_json(path.read_text())
    except FileNotFoundError as error:
        raise Retryable(f"the record {path} of observation {observation} is missing; ingest writes it anew") from error


def _input_runs(layout: Layout, task: Task) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for home, ids in task.inputs.items():
        for one in ids:
            run = read_run(layout, home, one)
            if run is None:
                path = layout.run(home, one)
                raise Retryable(f"the input run {path} of task {task.task} is missing; the engine asks for it again")
            found.setdefault(home, []).append(run)
    return found


def reference_path(layout: Layout, name: str) -> Path:
    """Return the file behind a name of reference data, ``catalog:<file>`` or ``flags:<date>``.

    Raises
    ------
    BadInput
        If the kind is unknown.
    """
    kind, _, rest = name.partition(":")
    if kind == "catalog":
        return layout.catalogs / rest
    if kind == "flags":
        return layout.flags / f"{rest}.txt"
    raise BadInput(f"reference data {name!r} is neither catalog:<file> nor flags:<date>")


def _reference(layout: Layout, wanted: dict[str, str]) -> dict[str, Path]:
    return {name: _verified(reference_path(layout, name), name, sha256) for name, sha256 in wanted.items()}


def _verified(path: Path, name: str, sha256: str) -> Path:
    try:
        found = sha256_file(path)
    except FileNotFoundError as error:
        raise BadInput(f"reference data {name!r} is missing: put back {path}") from error
    if found != sha256:
        raise BadInput(f"reference data {name!r} ({path}) has sha256 {found}, the task wants {sha256}; it was changed")
    return path


def build_context(
    layout: Layout,
    task: Task,
    params: type[StageParams],
    workdir: Path,
    report: Callable[[int, int, str], None],
    log: Any,
) -> tuple[StageContext[Any], Sources]:
    """Return the context of a task and what it was made from.

    Raises
    ------
    Retryable
        If an input run or an observation record is missing.
    BadInput
        If reference data is missing or is not what the task names.
    """
    inputs = _input_runs(layout, task)
    observation = read_observation(layout, task.observation) if task.observation else None
    raw = tuple(layout.incoming / file.path for file in observation.files) if observation else ()
    context = StageContext(
        unit=task.unit,
        group=task.group,
        date=task.date,
        params=params.model_validate(task.params),
        workdir=workdir,
        inputs=inputs,
        observation=observation,
        members=tuple(read_observation(layout, one) for one in task.members),
        calibrators=tuple(read_observation(layout, one) for one in task.calibrators),
        raw=raw,
        reference=_reference(layout, task.reference),
        options=task.options | {"task": task.task},
        report=report,
        log=log,
    )
    references = [
        InputRef(task=run.manifest.task, home=home, sha256=run_checksum(run.manifest))
        for home, runs in inputs.items()
        for run in runs
    ]
    kept = tuple(file.path for file in observation.files) if observation else ()
    return context, Sources(tuple(references), kept)
