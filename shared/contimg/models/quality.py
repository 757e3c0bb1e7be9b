"""Measured figures, their limits and the verdict that follows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum

from contimg.models.base import Model

__all__ = ["Figure", "Verdict", "judge", "worst"]


class Verdict(StrEnum):
    """How good a product is; the order of the members is the order of badness."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    DEGRADED = "degraded"
    FAILED = "failed"


class Figure(Model):
    """One measured number of a run."""

    name: str
    """Dotted name, ``<stage>.<quantity>``, e.g. ``image.rms``."""
    value: float | None
    """Measured value; None means it could not be measured."""
    unit: str = ""
    """Unit in astropy's spelling; empty for a pure number."""
    limit: str = ""
    """The limits in words, e.g. ``degraded < 100, failed < 30``; empty if it is not judged."""
    verdict: Verdict = Verdict.PASS


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of the verdicts, ``pass`` for none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.PASS)


def _beyond(value: float, low: float | None, high: float | None) -> bool:
    return (low is not None and value < low) or (high is not None and value > high)


def _words(kind: str, low: float | None, high: float | None) -> list[str]:
    parts = [] if low is None else [f"{kind} < {low:g}"]
    return parts + ([] if high is None else [f"{kind} > {high:g}"])


def judge(
    name: str,
    value: float | None,
    unit: str = "",
    *,
    degraded_below: float | None = None,
    degraded_above: float | None = None,
    failed_below: float | None = None,
    failed_above: float | None = None,
) -> Figure:
    """Compare a measured value with its limits.

    A limit itself still passes. A value that is missing or not finite is ``degraded`` when it has limits:
    nothing may pass because it was not measured.
    """
    words = _words("degraded", degraded_below, degraded_above) + _words("failed", failed_below, failed_above)
    if value is None or not math.isfinite(value):
        verdict = Verdict.DEGRADED if words else Verdict.PASS
        return Figure(name=name, value=None, unit=unit, limit=", ".join(words), verdict=verdict)
    verdict = Verdict.PASS
    if _beyond(value, degraded_below, degraded_above):
        verdict = Verdict.DEGRADED
    if _beyond(value, failed_below, failed_above):
        verdict = Verdict.FAILED
    return Figure(name=name, value=float(value), unit=unit, limit=", ".join(words), verdict=verdict)
