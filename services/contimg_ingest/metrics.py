"""What ingest finds, as metrics."""

from __future__ import annotations

import shutil

from prometheus_client import Counter, Histogram

from contimg.models.observation import ObservationState
from contimg.telemetry import DISK_FREE, DISK_SIZE, Levels
from contimg.volume.layout import Layout
from contimg_ingest.scan import ScanReport

__all__ = ["SCAN_SECONDS", "count"]

SCAN_SECONDS = Histogram(
    "contimg_ingest_scan_seconds", "Time of a look at incoming/.", buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300)
)
FILES = Levels("contimg_ingest_files", "Files below incoming/: raw, or ignored because nobody knows them.", ["kind"])
LAST_FILE = Levels("contimg_ingest_last_file_timestamp_seconds", "When the newest raw file arrived.", ())
SCANNED = Levels("contimg_ingest_scanned_timestamp_seconds", "When the last look at incoming/ began.", ())
UNSEALED = Levels("contimg_ingest_unsealed", "File sets that are still being written.", ())
PROBLEMS = Levels("contimg_ingest_problems", "Directories, files and records that could not be looked at.", ())
OBSERVATIONS = Counter("contimg_ingest_observations", "File sets that became final, by state.", ["state"])
QUARANTINED = Counter("contimg_ingest_quarantined", "Files that were refused, by reason.", ["reason"])


def count(report: ScanReport, layout: Layout) -> None:
    """Take over what one scan found."""
    for state in ObservationState:
        OBSERVATIONS.labels(state).inc(sum(record.state is state for record in report.records))
    for record in report.quarantined:
        QUARANTINED.labels(record.reason).inc()
    FILES.set({("raw",): report.files, ("ignored",): report.ignored})
    SCANNED.set({(): report.scanned.timestamp()})
    LAST_FILE.set({(): report.last_file.timestamp()} if report.last_file is not None else {})
    UNSEALED.set({(): len(report.unsealed)})
    PROBLEMS.set({(): len(report.problems)})
    usage = {f"incoming {number}": shutil.disk_usage(root) for number, root in enumerate(layout.incoming_roots, 1)}
    DISK_FREE.set({(name,): found.free for name, found in usage.items()})
    DISK_SIZE.set({(name,): found.total for name, found in usage.items()})
