"""The loop of the ingest service: scan, tell, wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from contimg_ingest.scan import Scanner, ScanReport

__all__ = ["log_report", "watch"]


async def watch(
    scanner: Scanner,
    tell: Callable[[ScanReport], Awaitable[None]],
    stop: asyncio.Event,
    interval_s: float = 10.0,
) -> None:
    """Scan until told to stop.

    Parameters
    ----------
    scanner
        Scans in a thread, one scan at a time.
    tell
        Called with every report.
    stop
        Ends the loop after the scan at work.
    interval_s
        Pause between two scans, in seconds.
    """
    while not stop.is_set():
        report = await asyncio.to_thread(scanner.scan, datetime.now(UTC))
        await tell(report)
        try:
            await asyncio.wait_for(stop.wait(), interval_s)
        except TimeoutError:
            continue


async def log_report(report: ScanReport) -> None:
    """Write what a scan found into the log; nothing when nothing happened."""
    log = structlog.get_logger("contimg.ingest")
    for record in report.records:
        log.info("observation", id=record.id, state=record.state.value, files=len(record.files), source=record.source)
    for refused in report.quarantined:
        log.warning("quarantined", path=refused.path, reason=refused.reason.value, sentence=refused.sentence)
    for sentence in report.problems:
        log.warning("incoming", sentence=sentence)
