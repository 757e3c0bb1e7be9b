"""What was asked for and when; what lies in the queue and nobody wants is withdrawn (P2).

Only this memory is the host's own, and it may be lost: after a restart it asks again, which is harmless.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from contimg.bus import Asked, Bus
from contimg.limits import ProtocolLimits
from contimg.models.task import Task
from contimg.telemetry import ASKED

__all__ = ["Asking", "PutInputs"]

PutInputs = Callable[[Mapping[str, Iterable[str]]], Awaitable[str]]
"""Leaves inputs with the keeper and returns their digest."""
_log = structlog.get_logger(__name__)


class Asking:
    """Asks for the tasks of many groups, each once in ``ask_again_s``.

    Parameters
    ----------
    bus
        Where tasks are asked for.
    put_inputs
        Keeps inputs that are too many for a message.
    limits
        Times of the protocol.
    """

    def __init__(self, bus: Bus, put_inputs: PutInputs, limits: ProtocolLimits) -> None:
        self._bus, self._put_inputs, self._limits = bus, put_inputs, limits
        self._asked: dict[str, dict[tuple[str, int], datetime]] = {}
        self.full: set[str] = set()
        """Groups whose last task found the queue full."""
        self.accepted = 0
        """Tasks that this host put into the queue."""

    async def ask(self, group: str, tasks: Sequence[Task], now: datetime) -> None:
        """Ask for what a group wants now; what it does not want any more is forgotten.

        Raises
        ------
        BadConfig
            If a task is too large for a message.
        Unavailable
            If the bus does not take a task.
        """
        known = self._asked.get(group, {})
        wanted = {(task.task, task.round) for task in tasks}
        self._asked[group] = asked = {key: at for key, at in known.items() if key in wanted}
        self.full.discard(group)
        for task in tasks:
            last = asked.get((task.task, task.round))
            if last is not None and now - last < timedelta(seconds=self._limits.ask_again_s):
                continue
            answer = await self._put(await self._fitting(task))
            ASKED.labels(task.stage, answer).inc()
            if answer is Asked.FULL:
                self.full.add(group)
                return
            asked[task.task, task.round] = now
            self.accepted += answer is Asked.ACCEPTED

    async def _put(self, task: Task) -> Asked:
        """Put a task into the queue; one of an earlier round that waits there for its next try makes room."""
        answer = await self._bus.ask(task)
        if answer is Asked.ALREADY and task.round > 0:
            await self._bus.withdraw(task.stage, task.task)
            answer = await self._bus.ask(task)
        return answer

    async def _fitting(self, task: Task) -> Task:
        """Leave inputs that are too many for a message with the keeper."""
        if sum(map(len, task.inputs.values())) <= self._limits.inputs_in_message:
            return task
        return task.model_copy(update={"inputs": {}, "inputs_digest": await self._put_inputs(task.inputs)})

    def forget(self, group: str) -> None:
        """Forget what a group asked for: it is gone, or asks for everything again."""
        self._asked.pop(group, None)
        self.full.discard(group)

    def forget_all(self) -> None:
        """Forget everything: the queue was made anew."""
        self._asked.clear()
        self.full.clear()

    async def withdraw(self, wanted: Callable[[], set[str]], who: Callable[[str], set[str]]) -> set[str]:
        """Take out of the queue what no group wants; return the groups that came to want some of it meanwhile.

        Parameters
        ----------
        wanted
            Gives the tasks that any active group wants; called when the queue has been listed.
        who
            Gives the groups that want a task; called after it was taken out, because a group may change its mind.

        Raises
        ------
        Unavailable
            If the bus does not answer.
        """
        queued = await self._bus.queued()
        kept = wanted()
        again: set[str] = set()
        for stage, task in queued:
            if task in kept:
                continue
            await self._bus.withdraw(stage, task)
            _log.info("withdrawn", stage=stage, task=task)
            again |= who(task)
        for group in again:
            self.forget(group)
        return again
