"""Metrics as a scrape sees them."""

from __future__ import annotations

from prometheus_client import REGISTRY

__all__ = ["labelled", "value"]


def value(sample: str, **labels: str) -> float | None:
    """Return the value of a sample; None: it is not shown."""
    return REGISTRY.get_sample_value(sample, labels)


def labelled(metric: str) -> dict[tuple[str, ...], float]:
    """Return all values of a gauge by the values of its labels."""
    families = [family for family in REGISTRY.collect() if family.name == metric]
    return {tuple(sample.labels.values()): sample.value for family in families for sample in family.samples}
