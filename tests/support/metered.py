"""Metrics as a scrape sees them, and what all services together declare."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import contimg_ingest.metrics  # noqa: F401 - declares what ingest shows
import contimg_operator
from contimg.telemetry import Levels

__all__ = ["labelled", "registered", "value"]

_SUFFIX = {"counter": "_total"}


def value(sample: str, **labels: str) -> float | None:
    """Return the value of a sample; None: it is not shown."""
    return REGISTRY.get_sample_value(sample, labels)


def labelled(metric: str) -> dict[tuple[str, ...], float]:
    """Return all values of a gauge by the values of its labels."""
    families = [family for family in REGISTRY.collect() if family.name == metric]
    return {tuple(sample.labels.values()): sample.value for family in families for sample in family.samples}


def registered() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Return kind, labels and meaning of every metric of ours by its name, from the registry itself."""
    for module in pkgutil.iter_modules(contimg_operator.__path__):
        if module.name != "__main__":
            import_module(f"contimg_operator.{module.name}")
    found = {}
    for collector in list(REGISTRY._collector_to_names):
        if isinstance(collector, Levels):
            found[collector._name] = ("gauge", tuple(collector._labels), collector._text)
        elif isinstance(collector, MetricWrapperBase) and collector._name.startswith("contimg_"):
            name = collector._name + _SUFFIX.get(collector._type, "")
            found[name] = (collector._type, collector._labelnames, collector._documentation)
    return found
