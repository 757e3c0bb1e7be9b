"""What the host has to look at: each key once, however often it was woken, and never by two at a time."""

from __future__ import annotations

import asyncio

__all__ = ["Agenda"]


class Agenda:
    """A deduplicating queue of keys, with a time from which each is due; for one event loop."""

    def __init__(self) -> None:
        self._due: dict[str, None] = {}
        self._busy: set[str] = set()
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._ready = asyncio.Event()

    def add(self, key: str, delay_s: float = 0.0) -> None:
        """Put a key on the agenda; of several times for one key the earliest counts.

        A key that is worked on meanwhile comes again when that is done.
        """
        if key in self._due:
            return
        loop = asyncio.get_running_loop()
        known = self._later.get(key)
        if delay_s > 0:
            if known is not None and known.when() <= loop.time() + delay_s:
                return
            self._forget_timer(key)
            self._later[key] = loop.call_later(delay_s, self.add, key)
            return
        self._forget_timer(key)
        self._due[key] = None
        if key not in self._busy:
            self._ready.set()

    async def next(self) -> str:
        """Wait for a key that is due and take it; end it by :meth:`done`."""
        while (key := self._first()) is None:
            self._ready.clear()
            await self._ready.wait()
        del self._due[key]
        self._busy.add(key)
        return key

    def done(self, key: str) -> None:
        """Give a key back; it may be taken again if it was added meanwhile."""
        self._busy.discard(key)
        if key in self._due:
            self._ready.set()

    def drop(self, key: str) -> None:
        """Forget a key; who works on it is not disturbed."""
        self._due.pop(key, None)
        self._forget_timer(key)

    def is_idle(self) -> bool:
        """Whether nothing is due and nobody works on anything; what is due later does not count."""
        return not self._due and not self._busy

    def _first(self) -> str | None:
        return next((key for key in self._due if key not in self._busy), None)

    def _forget_timer(self, key: str) -> None:
        timer = self._later.pop(key, None)
        if timer is not None:
            timer.cancel()
