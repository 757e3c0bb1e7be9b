"""Structured logs, and the Prometheus metrics that every process serves (:mod:`contimg.process`)."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

import structlog
from prometheus_client import Counter, Gauge, Histogram

__all__ = ["ATTEMPT_SECONDS", "PEAK_BYTES", "QUEUE", "TASKS", "configure_logging"]

TASKS = Counter("contimg_tasks", "Attempts by what became of them.", ["stage", "outcome"])
"""Outcomes: started, committed, adopted, failed, handed_back, dead."""
ATTEMPT_SECONDS = Histogram(
    "contimg_attempt_seconds",
    "Wall time of attempts that were committed.",
    ["stage"],
    buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10000),
)
PEAK_BYTES = Gauge("contimg_attempt_peak_bytes", "Peak memory of the last attempt's process group.", ["stage"])
QUEUE = Gauge("contimg_queue_tasks", "Tasks that wait, with the one fetched last.", ["stage"])


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
