"""The loop of the ingest service: scan, tell, wait."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from contimg.errors import BadConfig, Retryable
from contimg.process import Process, in_daemon
from contimg_ingest.metrics import SCAN_SECONDS, count
from contimg_ingest.scan import Scanner, ScanReport

__all__ = ["ReportLog", "scan_beside", "serve", "watch"]

_log = structlog.get_logger("contimg.ingest")


async def serve(process: Process) -> None:
    """Be the ingest service until told to stop.

    Raises
    ------
    BadConfig
        If an incoming directory does not exist, or the state directory cannot be written to.
    """
    for root in process.layout.incoming_roots:
        if not root.is_dir():
            raise BadConfig(f"{root} is no directory; create it or set CONTIMG_INCOMING_DIR")
    process.health.unready = ""
    scanner = Scanner(process.layout, limits=process.limits)
    log = ReportLog()

    def tell(report: ScanReport) -> None:
        log(report)
        count(report, process.layout)

    if not await watch(scanner, tell, process.stopping, process.settings.scan_s):
        _log.info("ends while a scan is at work")
        sys.stderr.flush()
        os._exit(0)  # the interpreter would wait for locks of its thread, for ever if a file hangs


async def watch(
    scanner: Scanner, tell: Callable[[ScanReport], None], stop: asyncio.Event, interval_s: float = 10.0
) -> bool:
    """Scan until told to stop; a scan at work is left alone then: whatever it writes is complete or not there.

    Parameters
    ----------
    scanner
        Scans in a thread, one scan at a time.
    tell
        Called with every report.
    stop
        Ends the loop at once.
    interval_s
        Pause between two scans, in seconds.

    Returns
    -------
    bool
        False: a scan is still at work in its thread.
    """
    stopped = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            scan = asyncio.ensure_future(scan_beside(scanner))
            await asyncio.wait({scan, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not scan.done():
                scan.cancel()
                return False
            error = scan.exception()
            if isinstance(error, Retryable):  # a full disk: the next scan tries again
                _log.error(str(error), error=type(error).__name__)
            else:
                tell(scan.result())
            await asyncio.wait({stopped}, timeout=interval_s)
        return True
    finally:
        stopped.cancel()


async def scan_beside(scanner: Scanner) -> ScanReport:
    """Scan in a thread that may be left behind: a file that hangs must not keep the process from ending."""
    with SCAN_SECONDS.time():
        return await in_daemon(lambda: scanner.scan(datetime.now(UTC)))


class ReportLog:
    """Writes what a scan found into the log: nothing when nothing happened, a problem when it is new."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, report: ScanReport) -> None:
        """Tell of one scan."""
        for record in report.records:
            state = record.state.value
            _log.info("observation", id=record.id, state=state, files=len(record.files), source=record.source)
        for refused in report.quarantined:
            _log.warning("quarantined", path=refused.path, reason=refused.reason, sentence=refused.sentence)
        for sentence in sorted(set(report.problems) - self._told):
            _log.warning("incoming", sentence=sentence)
        self._told = set(report.problems)
