"""Which tasks of one machine may run at a time: as many as there are jobs, while memory lasts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

__all__ = ["Admission"]

_log = structlog.get_logger(__name__)


class Admission:
    """Shared by the workers of one process.

    Parameters
    ----------
    jobs
        How many tasks run at a time.
    memory_bytes
        What all of them together may use. A stage is expected to use what its last attempt used; of one that never
        ran nothing is known. The first task is always let in.
    """

    def __init__(self, jobs: int, memory_bytes: int) -> None:
        self._jobs, self._memory_bytes = jobs, memory_bytes
        self._running: list[str] = []
        self._peaks: dict[str, int] = {}
        self._changed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def slot(self, stage: str) -> AsyncIterator[None]:
        """Wait until a task of this stage may run; it runs inside."""
        async with self._changed:
            if not self._fits(stage):
                _log.info("waits for its turn", stage=stage, running=list(self._running), jobs=self._jobs)
            await self._changed.wait_for(lambda: self._fits(stage))
            self._running.append(stage)
        try:
            yield
        finally:
            self._running.remove(stage)
            await self._tell()

    def note(self, stage: str, peak_bytes: int) -> None:
        """Say what an attempt of a stage has used."""
        self._peaks[stage] = peak_bytes

    def _fits(self, stage: str) -> bool:
        expected = sum(self._peaks.get(one, 0) for one in [*self._running, stage])
        return not self._running or (len(self._running) < self._jobs and expected <= self._memory_bytes)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
