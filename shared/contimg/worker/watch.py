"""Watching a child at work (architecture.md, P4): progress, time, memory, and whether we ourselves were frozen.

Memory is watched twice: the child's own, and everything that is charged to the control group which it shares with us,
its programs and our tmpfs. When the kernel is faster than we are, it takes the child first (``oom_score_adj``), and its
counter tells that the end was one for want of memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from contimg.errors import ResourceExhausted, Retryable
from contimg.limits import ProtocolLimits
from contimg.machine import kills, memory_group, memory_limit
from contimg.models.manifest import Usage
from contimg.models.task import Task
from contimg.worker.reply import GUARD
from contimg.worker.warm import ChildDied, Progress, WarmChild, completed

__all__ = ["Frozen", "GroupMeter", "Pulse", "Watch"]


class Frozen(Exception):
    """We did not run for so long that our tasks may have been given to others."""


class Pulse:
    """Notices that this process stood still, in time that runs on while a machine sleeps."""

    def __init__(self, limits: ProtocolLimits, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
        self._limit = limits.frozen_after_s
        self._last = self._clock()
        self._was_frozen = False

    def beat(self) -> None:
        """Say that we run.

        Raises
        ------
        Frozen
            If the last beat is too long ago; from then on always.
        """
        now = self._clock()
        self._was_frozen = self._was_frozen or now - self._last > self._limit
        self._last = now
        if self._was_frozen:
            raise Frozen


def _processes(pid: int) -> Iterator[psutil.Process]:
    """Give a child and its descendants, without the guard, as long as they are there."""
    with contextlib.suppress(psutil.Error):
        child = psutil.Process(pid)
        for process in [child, *child.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                if process.name() != GUARD:
                    yield process


def _resident(pid: int) -> int:
    total = 0
    for process in _processes(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


@dataclass
class GroupMeter:
    """Adds up what a child and its descendants use, from the operating system's accounts."""

    pid: int
    cpu_s: float = 0.0
    written: int = 0
    peak: int = 0

    def reset_peak(self) -> None:
        """Let the kernel's high-water mark of the child start anew (proc(5), clear_refs)."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def sample(self) -> int:
        """Read the accounts and return the resident bytes of the group now."""
        resident, cpu, written = 0, 0.0, 0
        for process in _processes(self.pid):
            with contextlib.suppress(psutil.Error):
                resident += process.memory_info().rss
                times = process.cpu_times()
                cpu += times.user + times.system + times.children_user + times.children_system
                written += process.io_counters().write_bytes
        self.cpu_s, self.written = max(self.cpu_s, cpu), max(self.written, written)
        self.peak = max(self.peak, resident, self._high_water())
        return resident

    def _high_water(self) -> int:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0


class Watch:
    """One attempt of a child under watch."""

    def __init__(self, child: WarmChild, task: Task, limits: ProtocolLimits, pulse: Pulse) -> None:
        self._child, self._limits, self._pulse, self._task = child, limits, pulse, task
        self._what = f"stage {task.stage} of {task.unit}"
        self._meter = GroupMeter(child.pid)
        self._meter.reset_peak()
        self._meter.sample()
        self._cpu0, self._written0 = self._meter.cpu_s, self._meter.written
        self._started = self._progressed = time.monotonic()
        self._memory = int(limits.memory_fraction * memory_limit(limits))
        self._group = memory_group()
        self._kills = kills(self._group)

    def _check(self) -> None:
        """Raise what ends the attempt, if anything does."""
        self._pulse.beat()
        before = self._meter.cpu_s, self._meter.written
        resident = self._meter.sample()
        now = time.monotonic()
        if (self._meter.cpu_s, self._meter.written) != before:
            self._progressed = now
        if resident > self._memory:
            raise self._exhausted(f"used {resident} bytes of memory, the limit is {self._memory} bytes")
        self._check_group(resident)
        if now - self._started > self._task.limits.time_s:
            limit = self._task.limits.time_s
            raise Retryable(f"{self._what} ran longer than its limit of {limit:g} s; raise the limit or ask for less")
        if now - self._progressed > self._limits.stall_after_s:
            silence = f"no report, no CPU time, nothing written for {self._limits.stall_after_s:g} s"
            raise Retryable(f"{self._what} made no progress: {silence}")

    def _check_group(self, resident: int) -> None:
        """End the child before the kernel does: the largest of several, which is the one that helps."""
        if self._group is None:
            return
        limit, used = int(self._limits.memory_fraction * self._group.limit), self._group.used()
        others = WarmChild.living - {self._child.pid}
        if used > limit and resident >= max(map(_resident, others), default=0):
            raise self._exhausted(
                f"used {resident} bytes of memory; with all that shares its control group these are {used} bytes, the "
                f"limit is {limit} bytes"
            )

    def _exhausted(self, how: str) -> ResourceExhausted:
        return ResourceExhausted(f"{self._what} {how}; give it more memory or ask for smaller products")

    def _explained(self, error: ChildDied) -> Exception:
        """Return why the child died: by the kernel's hand for want of memory, when its counter says so."""
        if error.status != -signal.SIGKILL or kills(self._group) == self._kills:
            return error
        limit = memory_limit(self._limits)
        return self._exhausted(
            f"was ended by the kernel for want of memory, at {self._meter.peak} bytes or more of {limit} bytes"
        )

    def usage(self) -> Usage:
        """Return what the attempt has cost so far."""
        self._meter.sample()
        return Usage(
            wall_s=time.monotonic() - self._started,
            cpu_s=max(0.0, self._meter.cpu_s - self._cpu0),
            peak_bytes=self._meter.peak,
            written_bytes=max(0, self._meter.written - self._written0),
        )

    async def run(self, workdir: Path, progress: Progress) -> dict[str, Any]:
        """Let the child run the attempt and return its answer; end the child when it must not go on.

        Raises
        ------
        ChildDied
            If the child ended by itself, or somebody else ended it.
        ResourceExhausted, Retryable
            If it used too much memory or time, or stalled; the child is dead then.
        Frozen
            If this process was frozen; the child is dead then.
        """

        def reported(done: int, total: int, what: str) -> None:
            self._progressed = time.monotonic()
            progress(done, total, what)

        conversation = asyncio.create_task(self._child.converse(self._task, workdir, reported))
        try:
            while not (await asyncio.wait({conversation}, timeout=self._limits.sample_s))[0]:
                self._check()
            self._pulse.beat()
            return conversation.result()
        except ChildDied as error:
            raise self._explained(error) from error
        finally:
            await completed(self._settle(conversation))

    async def _settle(self, conversation: asyncio.Task[dict[str, Any]]) -> None:
        """End the child unless it has answered; its last words are of no interest then."""
        if not conversation.done():
            await self._child.end()
            conversation.cancel()
            await asyncio.wait({conversation})
        if not conversation.cancelled():
            conversation.exception()  # looked at, so that asyncio does not complain
