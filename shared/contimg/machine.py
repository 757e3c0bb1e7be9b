"""What this process may use of the machine: memory and processors, as control groups (v1, v2) and hardware allow."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from contimg.limits import ProtocolLimits

__all__ = ["MemoryGroup", "in_threads", "kills", "memory_group", "memory_limit", "processors"]

_ROOT = Path("/")


def _numbers(path: Path) -> dict[str, int]:
    """Return the lines ``<word> <number>`` of a kernel file; a file with one number has it under the empty word."""
    found = {}
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            word, _, number = line.rpartition(" ")
            with contextlib.suppress(ValueError):
                found[word] = int(number)
    return found


def _directories(controller: str, root: Path) -> list[Path]:
    """Return the directories of our control groups, with all above them, in both kinds of hierarchy."""
    base, paths = root / "sys/fs/cgroup", {Path()}
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "" or controller in controllers.split(","):
                own = Path(path.lstrip("/"))
                paths |= {own, *own.parents}
    tops = (base, base / controller, base / "cpu,cpuacct") if controller == "cpu" else (base, base / controller)
    return [top / path for top in tops for path in sorted(paths)]


@dataclass(frozen=True)
class MemoryGroup:
    """The control group whose memory limit binds this process, its children and its tmpfs together."""

    directory: Path
    limit: int
    """Bytes."""

    def used(self) -> int:
        """Return the bytes that the kernel cannot take back: all that is charged, tmpfs too, without cached files."""
        stat = _numbers(self.directory / "memory.stat")
        charged = _numbers(self.directory / "memory.current") or _numbers(self.directory / "memory.usage_in_bytes")
        names = ("inactive_file", "active_file")
        cached = [stat.get(f"total_{name}", stat.get(name, 0)) for name in names]  # v1 counts groups below apart
        return charged.get("", 0) - sum(cached)


def memory_group(root: Path = _ROOT) -> MemoryGroup | None:
    """Return the control group with the least limit below the machine's memory; None: there is none."""
    found = []
    for directory in _directories("memory", root):
        limit = _numbers(directory / "memory.max") or _numbers(directory / "memory.limit_in_bytes")
        if 0 < limit.get("", 0) < psutil.virtual_memory().total:
            found.append(MemoryGroup(directory, limit[""]))
    return min(found, key=lambda group: group.limit, default=None)


def kills(group: MemoryGroup | None, root: Path = _ROOT) -> int:
    """Return how many processes the kernel has ended for want of memory: of the control group, or of the machine."""
    files = [] if group is None else [group.directory / "memory.events", group.directory / "memory.oom_control"]
    counters = [_numbers(path) for path in [*files, root / "proc/vmstat"]]
    return next((found["oom_kill"] for found in counters if "oom_kill" in found), 0)


def memory_limit(limits: ProtocolLimits, root: Path = _ROOT) -> int:
    """Return the bytes a child may use: the least of its control group, ``CONTIMG_MEMORY_BYTES`` and a part of RAM."""
    group = memory_group(root)
    configured = int(os.environ.get("CONTIMG_MEMORY_BYTES") or 0)
    ram = int(limits.ram_fraction * psutil.virtual_memory().total)
    return min(found for found in (ram, configured, group.limit if group else 0) if found > 0)


def processors(root: Path = _ROOT) -> int:
    """Return how many threads can run at a time: the processors we may use, less what the CPU quota takes away."""
    found = [float(len(os.sched_getaffinity(0)))]
    for directory in _directories("cpu", root):
        with contextlib.suppress(OSError, ValueError):
            quota, _, period = (directory / "cpu.max").read_text().partition(" ")
            found.append(int(quota) / int(period))
        quotas = _numbers(directory / "cpu.cfs_quota_us")
        if quotas.get("", -1) > 0:
            found.append(quotas[""] / _numbers(directory / "cpu.cfs_period_us").get("", 100_000))
    return max(1, math.ceil(min(found)))


def in_threads(work: Callable[[int, int], object], edges: Sequence[int]) -> None:
    """Call ``work(first, last)`` for neighbouring stretches of ``edges``, one stretch per processor.

    Kernels that are cut like this compile in a third of the time that numba's own threads take.

    Parameters
    ----------
    work
        A call into a kernel that releases the GIL and writes only to its own stretch, so that the result is the same
        on any number of processors.
    edges
        Where the work may be cut (indices), ascending, first and last included.
    """
    threads = max(1, min(processors(), len(edges) - 1))
    cuts = [int(edges[k * (len(edges) - 1) // threads]) for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(work, first, last) for first, last in pairwise(cuts)]:
            future.result()
