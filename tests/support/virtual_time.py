"""An event loop whose clock jumps: nobody waits, hours pass in milliseconds. For tests without servers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["VirtualLoop", "virtually"]

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """When nothing is ready, it is the time of the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._jumped = 0.0

    def time(self) -> float:
        return super().time() + self._jumped

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self._jumped += max(0.0, self._scheduled[0].when() - self.time())
        super()._run_once()


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run something to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
