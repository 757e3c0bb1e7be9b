"""The message that asks for a task, and the events that tell of one (CloudEvents 1.0)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from contimg.limits import TRIES
from contimg.models.base import Model, TaskId, UtcTime

__all__ = ["SCHEMA", "Event", "Limits", "Task"]

SCHEMA = 2
"""Schema of the task message; readers accept this one and the one before."""


class Limits(Model):
    """Bounds of one attempt and of the task."""

    time_s: float = 3600.0
    tries: int = TRIES


class Task(Model):
    """A wish for one run; the same wish always has the same id."""

    schema_version: int = SCHEMA
    task: TaskId
    round: int = 0
    stage: str
    recipe_version: int
    unit: str
    home: str
    """Data type under whose home the run will lie."""
    group: str
    generation: int = 1
    spec_digest: str = ""
    date: str
    """UTC date of the data, ``YYYY-MM-DD``."""
    params: dict[str, Any]
    """Complete: workers apply no defaults."""
    inputs: dict[str, tuple[TaskId, ...]] = Field(default_factory=dict)
    """Task ids by data type, in the order of the members."""
    inputs_digest: str = ""
    """Set instead of ``inputs`` when these are too many for a message: the keeper has them under this digest."""
    raw_digest: str = ""
    observation: str = ""
    """Observation id, for stages of scope observation."""
    members: tuple[str, ...] = ()
    """Observation ids of the targets, for stages of scope group."""
    calibrators: tuple[str, ...] = ()
    """Observation ids of the calibrator recordings, for stages of scope group."""
    reference: dict[str, str] = Field(default_factory=dict)
    """Reference data: name to sha256."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the group says beyond parameters and belongs to the recipe."""
    limits: Limits = Limits()
    trace: str = ""


class Event(Model):
    """CloudEvents 1.0 in structured JSON."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: Literal[
        "org.contimg.task.asked",
        "org.contimg.task.started",
        "org.contimg.task.committed",
        "org.contimg.task.failed",
        "org.contimg.task.progress",
        "org.contimg.ingest.sealed",
    ]
    subject: str
    """``<stage>/<unit>``."""
    time: UtcTime
    datacontenttype: Literal["application/json"] = "application/json"
    data: dict[str, Any] = Field(default_factory=dict)
