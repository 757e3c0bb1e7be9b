"""Structured logs, and the Prometheus metrics that every process serves (:mod:`contimg.process`)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO, TypeVar

import structlog
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from contimg.models.quality import Verdict

__all__ = [
    "ASKED",
    "ATTEMPT_CPU",
    "ATTEMPT_SECONDS",
    "ATTEMPT_WRITTEN",
    "BUS_CONNECTED",
    "BUS_OLDEST",
    "BUS_STREAM_BYTES",
    "BUS_STREAM_LIMIT",
    "BUS_STREAM_MESSAGES",
    "BUS_TASKS",
    "DATA_BYTES",
    "DISK_FREE",
    "DISK_SIZE",
    "FAILED_BYTES",
    "FAILED_FILES",
    "FIGURE",
    "GROUPS",
    "GROUPS_OLDEST",
    "GROUP_SECONDS",
    "IN_HAND",
    "KEEPER_SECONDS",
    "MEMORY_LIMIT",
    "PEAK_BYTES",
    "PRODUCTS",
    "READY",
    "RECONCILE_SECONDS",
    "RUNS",
    "STATUS_WRITES",
    "TASKS",
    "TASK_TRIES",
    "VERDICTS",
    "WORKSPACE_ATTEMPTS",
    "WORKSPACE_BYTES",
    "Levels",
    "configure_logging",
    "expect_stage",
]

K = TypeVar("K", bound=tuple[str, ...])
_QUICK = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
_SLOW = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
_NIGHT = (60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400)


disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series; a restart is seen without them


class Levels(Collector):
    """Gauges of one name that are replaced as a whole: what is gone is not shown any more.

    Parameters
    ----------
    name, text
        Of the metric.
    labels
        Names of its labels; the words of each are few by the nature of what they name.
    """

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: Mapping[tuple[str, ...], float] = {}
        REGISTRY.register(self)

    def set(self, values: Mapping[K, float]) -> None:
        """Replace all values, each under the values of its labels."""
        self._values = dict(values.items())

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Give the values to a scrape, which may come from another thread."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


# -- every process -------------------------------------------------------------------------------------------------

READY = Gauge("contimg_ready", "1: the process can do its work; 0: it waits for something.", ["service"])
BUS_CONNECTED = Gauge("contimg_bus_connected", "1: the process has a connection to the bus.", ["service"])

# -- workers -------------------------------------------------------------------------------------------------------

OUTCOMES = ("started", "committed", "adopted", "failed", "lost", "handed_back", "dead")
TASKS = Counter("contimg_tasks", f"Tasks in hand by what became of them: {', '.join(OUTCOMES)}.", ["stage", "outcome"])
ENDS = ("committed", "failed", "handed_back")
ATTEMPT_SECONDS = Histogram(
    "contimg_attempt_seconds", "Wall time of attempts by their end.", ["stage", "outcome"], buckets=_SLOW
)
ATTEMPT_CPU = Counter("contimg_attempt_cpu_seconds", "Processor time of attempts by their end.", ["stage", "outcome"])
ATTEMPT_WRITTEN = Counter("contimg_attempt_written_bytes", "Bytes that attempts wrote to disks.", ["stage"])
PEAK_BYTES = Gauge("contimg_attempt_peak_bytes", "Peak memory of the last attempt's process group.", ["stage"])
MEMORY_LIMIT = Gauge("contimg_memory_limit_bytes", "Memory that the process group of an attempt may use.", ["stage"])
IN_HAND = Gauge("contimg_in_hand", "Tasks that this worker has in hand.", ["stage"])
TASK_TRIES = Histogram(
    "contimg_task_tries", "Number of the attempt that ended a task.", ["stage"], buckets=(1, 2, 3, 4, 6, 10)
)
VERDICTS = Counter("contimg_verdicts", "Committed runs by the verdict on their products.", ["stage", "verdict"])
FIGURE = Gauge("contimg_figure", "Measured quality figure of the last committed run.", ["figure", "unit"])

# -- host of the engine: the operator, or contimg.host ---------------------------------------------------------------

RECONCILE_SECONDS = Histogram(
    "contimg_reconcile_seconds", "Time of one piece of work of the host, by its kind.", ["kind"], buckets=_QUICK
)
ASKED = Counter("contimg_asked", "Tasks asked for by what the queue said.", ["stage", "answer"])
STATUS_WRITES = Counter("contimg_status_writes", "Statuses written, or why not.", ["kind", "outcome"])
GROUPS = Levels("contimg_groups", "Groups by condition, its status and reason.", ["condition", "status", "reason"])
GROUPS_OLDEST = Levels(
    "contimg_groups_oldest_timestamp_seconds", "When the oldest unfinished group of a phase was seen first.", ["phase"]
)
GROUP_SECONDS = Histogram(
    "contimg_group_seconds", "From the first sight of a group to its publication.", ["pipeline"], buckets=_NIGHT
)
BUS_TASKS = Levels("contimg_bus_tasks", "Tasks in the queue: waiting, in_hand, redelivered.", ["stage", "state"])
BUS_OLDEST = Levels("contimg_bus_oldest_timestamp_seconds", "When the oldest task in the queue was asked.", ["stage"])
BUS_STREAM_MESSAGES = Levels("contimg_bus_stream_messages", "Messages in a stream.", ["stream"])
BUS_STREAM_BYTES = Levels("contimg_bus_stream_bytes", "Bytes in a stream.", ["stream"])
BUS_STREAM_LIMIT = Levels("contimg_bus_stream_limit_bytes", "Bytes that a stream may hold.", ["stream"])

# -- keeper --------------------------------------------------------------------------------------------------------

KEEPER_SECONDS = Histogram(
    "contimg_keeper_seconds", "Time of an answer, a scan or a clean-up.", ["verb"], buckets=(*_QUICK, 30, 100)
)
_PLACE = ("data_type", "disk", "directory")
RUNS = Levels("contimg_runs", "Committed runs on staging by data type and verdict.", ["data_type", "verdict"])
PRODUCTS = Levels("contimg_products", "Products by data type and directory.", _PLACE)
DATA_BYTES = Levels("contimg_data_bytes", "Bytes of products by data type and directory.", _PLACE)
FAILED_FILES = Levels("contimg_failed_files", "Files in workspace/failed.", ())
FAILED_BYTES = Levels("contimg_failed_bytes", "Bytes in workspace/failed.", ())
WORKSPACE_ATTEMPTS = Levels(
    "contimg_workspace_attempts", "Attempt directories: running, overdue, abandoned.", ["workspace", "state"]
)
WORKSPACE_BYTES = Levels("contimg_workspace_bytes", "Bytes in workspace/active.", ["workspace"])
DISK_FREE = Levels("contimg_disk_free_bytes", "Bytes that are free on a disk.", ["disk"])
DISK_SIZE = Levels("contimg_disk_size_bytes", "Size of a disk.", ["disk"])


def expect_stage(stage: str) -> None:
    """Show the counters of a stage from 0 on: a rise from nothing is no rise to Prometheus."""
    for outcome in OUTCOMES:
        TASKS.labels(stage, outcome)
    for outcome in ENDS:
        ATTEMPT_SECONDS.labels(stage, outcome)
        ATTEMPT_CPU.labels(stage, outcome)
    for verdict in Verdict:
        VERDICTS.labels(stage, verdict)
    for metric in (ATTEMPT_WRITTEN, TASK_TRIES, IN_HAND):
        metric.labels(stage)


def configure_logging(*, json_lines: bool | None = None, level: str = "", stream: TextIO | None = None) -> None:
    """Set up structlog once per process: JSON lines, or coloured text on a terminal.

    Parameters
    ----------
    json_lines
        None: JSON unless stderr is a terminal.
    level
        Empty: ``CONTIMG_LOG_LEVEL``, else ``info``.
    stream
        Where the lines go; None: what ``sys.stderr`` is at the time.
    """
    as_json = not sys.stderr.isatty() if json_lines is None else json_lines
    name = (level or os.environ.get("CONTIMG_LOG_LEVEL") or "info").upper()
    number = logging.getLevelNamesMapping().get(name, logging.INFO)
    text = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    renderer = structlog.processors.JSONRenderer() if as_json else text
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_LoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


class _LoggerFactory:
    """Without a stream it writes to what ``sys.stderr`` is at the time of the line: redirections are followed."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __call__(self, *_: object) -> structlog.PrintLogger:
        return structlog.PrintLogger(self._stream or sys.stderr)
