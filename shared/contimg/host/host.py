"""The engine's host: brings facts to the engine and its wishes to the bus. The operator and a laptop run share it.

It keeps only what may be lost: when it asked for a task last. After a restart it asks again, which is harmless.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from contimg.bus import Asked, Bus
from contimg.engine.advance import Decision, advance
from contimg.errors import Unavailable
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.params import StageSpec
from contimg.models.pipeline import Pipeline
from contimg.models.task import Task

__all__ = ["FactsSource", "Host"]

FactsSource = Callable[[ObservationGroup], Awaitable[Facts]]
"""Where facts come from: the keeper in this process, or its client on the bus."""


class Host:
    """Reconciles groups: facts, decision, asking.

    Parameters
    ----------
    bus
        Where tasks are asked for.
    facts
        The keeper; one that raises ``Unavailable`` is silent, and then nothing is asked.
    specs
        The installed stages.
    limits
        Times of the protocol.
    """

    def __init__(self, bus: Bus, facts: FactsSource, specs: Mapping[str, StageSpec], limits: ProtocolLimits) -> None:
        self._bus = bus
        self._facts = facts
        self._specs = specs
        self._limits = limits
        self._asked: dict[str, datetime] = {}
        self._full = False
        self.accepted: set[str] = set()
        """Tasks that this host put into the queue."""

    async def prepare(self, pipelines: Mapping[str, Pipeline]) -> None:
        """Create and check streams and consumers (P1); a recreated task stream forgets what was asked.

        Raises
        ------
        Unavailable
            If the server does not answer.
        BadConfig
            If a stream exists that cannot be used.
        """
        names = {item.stage for chosen in pipelines.values() for item in chosen.stages} & set(self._specs)
        if await self._bus.ensure_streams(sorted(names)):
            self._asked.clear()

    async def reconcile(
        self, group: ObservationGroup, pipeline: Pipeline, previous: GroupStatus | None, now: datetime | None = None
    ) -> Decision:
        """Look once at a group and ask for what it needs.

        Raises
        ------
        Unavailable
            If the bus does not take a task.
        """
        now = now or datetime.now(UTC)
        facts = await self._known(group)
        decision = advance(group, pipeline, self._specs, facts, now, previous)
        self._full = False
        for task in decision.tasks:
            await self._ask(task, now)
        return decision

    async def _known(self, group: ObservationGroup) -> Facts:
        try:
            facts = await self._facts(group)
        except Unavailable:
            return Facts(keeper_silent=True)
        return facts.model_copy(update={"bus_full": self._full}) if self._full else facts

    async def _ask(self, task: Task, now: datetime) -> None:
        """Ask unless it was asked for lately in the same round."""
        key = f"{task.task}/{task.round}"
        last = self._asked.get(key)
        if last is not None and now - last < timedelta(seconds=self._limits.ask_again_s):
            return
        answer = await self._bus.ask(await self._light(task))
        if answer is Asked.FULL:
            self._full = True
            return
        self._asked[key] = now
        if answer is Asked.ACCEPTED:
            self.accepted.add(task.task)

    async def _light(self, task: Task) -> Task:
        """Leave inputs that are too many for a message with the keeper (P2)."""
        if sum(map(len, task.inputs.values())) <= self._limits.inputs_in_message:
            return task
        plain = {home: list(tasks) for home, tasks in task.inputs.items()}
        answer = await self._bus.request(f"contimg.rpc.{self._bus.shard}.inputs", {"inputs": plain})
        return task.model_copy(update={"inputs": {}, "inputs_digest": str(answer["digest"])})
