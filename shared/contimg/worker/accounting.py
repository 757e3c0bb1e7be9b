"""What attempts cost and how good their products are, as metrics; nothing decides on them."""

from __future__ import annotations

from contimg.models.manifest import Manifest, Usage
from contimg.telemetry import (
    ATTEMPT_CPU,
    ATTEMPT_SECONDS,
    ATTEMPT_WRITTEN,
    FIGURE,
    PEAK_BYTES,
    TASK_TRIES,
    TASKS,
    VERDICTS,
)

__all__ = ["count_attempt", "count_run", "count_task"]


def count_task(stage: str, outcome: str) -> None:
    """Count a task by what became of it (``contimg.telemetry.OUTCOMES``)."""
    TASKS.labels(stage, outcome).inc()


def count_attempt(stage: str, outcome: str, usage: Usage) -> None:
    """Count what an attempt cost that ended ``committed``, ``failed`` or ``handed_back``."""
    ATTEMPT_SECONDS.labels(stage, outcome).observe(usage.wall_s)
    ATTEMPT_CPU.labels(stage, outcome).inc(usage.cpu_s)
    ATTEMPT_WRITTEN.labels(stage).inc(usage.written_bytes)
    if usage.peak_bytes:
        PEAK_BYTES.labels(stage).set(usage.peak_bytes)


def count_run(manifest: Manifest) -> None:
    """Count a committed run by its verdict, and show its figures.

    A name with more than one dot also names what was measured, e.g. a source: such figures would have no end.
    """
    VERDICTS.labels(manifest.stage, manifest.verdict).inc()
    TASK_TRIES.labels(manifest.stage).observe(manifest.attempt)
    for figure in manifest.figures:
        if figure.value is not None and figure.name.count(".") == 1:
            FIGURE.labels(figure.name, figure.unit).set(figure.value)
