"""What lies on the disks of a shard, as metrics: data per directory, failed work, work that is stuck, free space."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from contimg.keeper.facts import lock_is_live
from contimg.keeper.index import Index
from contimg.limits import ProtocolLimits
from contimg.models.spec import data_types, specs
from contimg.telemetry import (
    DATA_BYTES,
    DISK_FREE,
    DISK_SIZE,
    FAILED_BYTES,
    FAILED_FILES,
    PRODUCTS,
    RUNS,
    WORKSPACE_ATTEMPTS,
    WORKSPACE_BYTES,
)
from contimg.volume.attempt import ATTEMPT
from contimg.volume.layout import Layout

__all__ = ["measure"]

BATCH = 500
"""Tasks in one query."""
Place = tuple[str, str, str]
"""Data type, disk, directory."""


def measure(layout: Layout, index: Index, limits: ProtocolLimits) -> None:
    """Look once and show what was found.

    Raises
    ------
    OSError
        If a disk does not answer.
    Unavailable, Damaged
        If the index cannot be read.
    """
    _measure_products(layout, index)
    _measure_failed(layout)
    _measure_workspace(layout, limits)
    _measure_disks(layout)


# -- products --------------------------------------------------------------------------------------------------------


def _measure_products(layout: Layout, index: Index) -> None:
    """Count from the index: an archive has too many files to be walked through."""
    kept = index.rows("products", "SELECT home, verdict, count(*) AS n FROM runs WHERE kept GROUP BY home, verdict")
    RUNS.set({(row["home"], row["verdict"]): row["n"] for row in kept})
    count: Counter[Place] = Counter()
    size: Counter[Place] = Counter()
    for place, number, total in (*_staged(layout, index), *_archived(layout, index)):
        count[place] += number
        size[place] += total
    PRODUCTS.set(count)
    DATA_BYTES.set(size)


def _staged(layout: Layout, index: Index) -> Iterator[tuple[Place, int, int]]:
    """Give place, number and bytes of the products whose runs are on staging."""
    tasks = (row["task"] for row in index.rows("products", "SELECT task FROM runs WHERE kept"))
    while batch := list(islice(tasks, BATCH)):
        query = (
            "SELECT home, count(*) AS n, sum(bytes) AS size FROM data_registry "  # noqa: S608 - no value
            f"WHERE task IN ({', '.join('?' * len(batch))}) GROUP BY home"
        )
        for row in index.rows("data_registry", query, batch):
            if row["home"] in data_types():
                yield (row["home"], "staging", _short(layout.home(row["home"]), layout)), row["n"], row["size"]


def _archived(layout: Layout, index: Index) -> Iterator[tuple[Place, int, int]]:
    """Give place, number and bytes of what was published; nothing ever leaves the archive."""
    query = (
        "SELECT type, count(*) AS n, sum(bytes) AS size FROM (SELECT DISTINCT type, task, path FROM publications) "
        "JOIN data_registry USING (task, path) GROUP BY type"
    )
    for row in index.rows("data_registry", query):
        if row["type"] in data_types():
            directory = _short(layout.archive / data_types()[row["type"]].archive, layout)
            yield (row["type"], "archive", directory), row["n"], row["size"]


def _short(directory: Path, layout: Layout) -> str:
    """Return a directory below its disk as documents write it."""
    for base in (layout.stage_base, layout.data_base):
        if directory.is_relative_to(base):
            return str(directory.relative_to(base))
    return str(directory)


# -- work ------------------------------------------------------------------------------------------------------------


def _measure_failed(layout: Layout) -> None:
    sizes = list(_sizes(layout.failed))
    FAILED_FILES.set({(): len(sizes)})
    FAILED_BYTES.set({(): sum(sizes)})


def _sizes(root: Path) -> Iterator[int]:
    """Give the size of every file below a directory; what disappears meanwhile is left out."""
    for directory, _, names in os.walk(root):
        for name in names:
            with suppress(FileNotFoundError):
                yield os.lstat(f"{directory}/{name}").st_size


def _measure_workspace(layout: Layout, limits: ProtocolLimits) -> None:
    """Look at the attempt directories: at work, longer at work than their stage may be, or left behind."""
    longest = {spec.workspace: spec.time_limit_s for spec in specs().values() if spec.workspace}
    states = Counter({(name, state): 0 for name in longest for state in ("running", "overdue", "abandoned")})
    size = dict.fromkeys(((name,) for name in longest), 0)
    for path in layout.active("").glob("*/*"):
        name = path.parent.name
        if name in longest and path.is_dir():
            states[name, _state(path, layout, limits, longest[name])] += 1
            size[name,] += sum(_sizes(path))
    WORKSPACE_ATTEMPTS.set(states)
    WORKSPACE_BYTES.set(size)


def _state(path: Path, layout: Layout, limits: ProtocolLimits, longest_s: float) -> str:
    if not lock_is_live(layout.locks / path.name.rpartition("-")[0], limits.lock_fresh_s):
        return "abandoned"
    try:
        begun = (path / ATTEMPT).stat().st_mtime
    except FileNotFoundError:  # it is just being made, or was just committed
        return "running"
    return "overdue" if time.time() - begun > longest_s + limits.stall_after_s else "running"


# -- disks -----------------------------------------------------------------------------------------------------------


def _measure_disks(layout: Layout) -> None:
    places: Sequence[tuple[str, Path]] = (
        ("staging", layout.stage_base),
        ("workspace", layout.active("")),
        ("archive", layout.archive),
        ("state", layout.state),
    )
    usage = {(name,): shutil.disk_usage(path) for name, path in places if path.is_dir()}
    DISK_FREE.set({key: found.free for key, found in usage.items()})
    DISK_SIZE.set({key: found.total for key, found in usage.items()})
