"""The engine's host: the one loop that brings facts to the engine and its wishes to the bus, for all groups of a shard.

Everything it does stands as a key on one agenda, which a few reconcilers drain: a group or a survey to look at, the
streams to check, the queue to sweep. What it remembers may be lost; the next look finds it again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from contimg import backlog
from contimg.bus import Bus
from contimg.engine.advance import Decision
from contimg.errors import BadConfig, ContimgError, Unavailable
from contimg.host.agenda import Agenda
from contimg.host.asking import Asking
from contimg.host.counting import count_groups
from contimg.host.judging import Judge, KeeperFace, refusal
from contimg.host.resources import Conflict, Resources, Status, named
from contimg.host.statuses import StatusWriter
from contimg.host.surveys import Surveys
from contimg.host.view import GroupView, Shown
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts
from contimg.models.group import ObservationGroup
from contimg.models.instrument import pipelines
from contimg.models.pipeline import Pipeline
from contimg.models.reason import Phase
from contimg.models.spec import Scope, StageInfo, StageSpec
from contimg.models.survey import Survey
from contimg.models.task import Event
from contimg.rpc import TRANSPORT
from contimg.telemetry import RECONCILE_SECONDS

__all__ = ["Host", "Seen"]

_log = structlog.get_logger(__name__)
Seen = Callable[[ObservationGroup, Decision], None]
"""Told of every look at a group."""


class Host:
    """The loop.

    Parameters
    ----------
    bus
        Where tasks are asked for; its shard is ours.
    keeper
        Where facts come from; one that raises ``Unavailable`` is silent, and then nothing is asked.
    resources
        Groups, surveys and pipelines, and where their status goes.
    specs
        The installed stages.
    limits
        Times of the protocol.
    seen
        Told of every look at a group, for a display.
    now
        The clock.
    """

    def __init__(
        self,
        bus: Bus,
        keeper: KeeperFace,
        resources: Resources,
        specs: Mapping[str, StageSpec],
        limits: ProtocolLimits,
        *,
        seen: Seen | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._bus, self._keeper, self._resources = bus, keeper, resources
        self._specs, self._limits = specs, limits
        self._seen = seen
        self._now = now or (lambda: datetime.now(UTC))
        self._agenda = Agenda()
        self._groups: dict[str, GroupView] = {}
        self._pipelines: dict[str, Pipeline] = {}
        self._judge = Judge(keeper, specs, limits)
        self._statuses = StatusWriter(resources, limits)
        self._surveys = Surveys(keeper, resources, limits)
        self._bus_away = False
        self._is_listed = False
        self._looked = asyncio.Event()
        self._works: dict[str, Callable[[str], Awaitable[None]]] = {
            "group": self._look,
            "survey": self._form,
            "list": self._list,
            "streams": self._check_streams,
            "sweep": self._sweep,
            "tick": self._tick,
            "wanted": self._say_wanted,
        }
        self.asking = Asking(bus, keeper.put_inputs, limits)

    # -- the loop -----------------------------------------------------------------------------------------------

    async def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Look after all groups until ``until`` says so, or until cancelled.

        Raises
        ------
        BadConfig
            If the bus refuses its streams, or us, for good.
        """
        events = await self._bus.subscribe_events(self._on_event)
        for key in ("streams", "tick", "wanted"):
            self._agenda.add(key)
        try:
            async with asyncio.TaskGroup() as tasks:
                workers = [self._reconcile() for _ in range(self._limits.reconcilers)]
                running = [tasks.create_task(work) for work in (self._watch(), self._reconnections(), *workers)]
                await self._until(until)
                for task in running:
                    task.cancel()
        finally:
            with contextlib.suppress(*TRANSPORT):
                await events.unsubscribe()
            await self._show_all()

    async def _until(self, until: Callable[[], bool]) -> None:
        """Ask after every look, and every second: what ends the host may have nothing to do with a group."""
        while not until():
            self._looked.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._looked.wait()

    async def _reconcile(self) -> None:
        me = asyncio.current_task()
        while me is None or not me.cancelling():  # wait_for of Python 3.11, in the client, may lose a cancellation
            key = await self._agenda.next()
            kind, _, name = key.partition("/")
            try:
                with RECONCILE_SECONDS.labels(kind).time():
                    await self._works[kind](name)
            except ContimgError as error:
                if kind == "streams":
                    raise  # a bus that refuses its streams refuses everything
                _log.warning("tried again", what=key, error=str(error))
                self._agenda.add(key, self._limits.silent_again_s)
            finally:
                self._agenda.done(key)
                self._looked.set()

    async def _watch(self) -> None:
        async for _change in self._resources.watch():
            self._agenda.add("list")

    async def _reconnections(self) -> None:
        while True:
            await self._bus.reconnected.wait()
            self._bus.reconnected.clear()
            self._agenda.add("streams")

    def wake(self, name: str = "") -> None:
        """Look again at a group; without a name at all surveys and groups that are not published."""
        if name:
            self._agenda.add(f"group/{name}")
            return
        for group, view in self._groups.items():
            if view.phase is not Phase.PUBLISHED:
                self._agenda.add(f"group/{group}")
        for survey in self._surveys.names():
            self._agenda.add(f"survey/{survey}")

    async def _tick(self, _name: str) -> None:
        """Look again at whatever is not finished: an event may have been lost."""
        for name, view in self._groups.items():
            if not view.is_final:
                self._agenda.add(f"group/{name}")
        for name in self._surveys.names():
            self._agenda.add(f"survey/{name}")
        count_groups(self._groups.values())
        self._agenda.add("tick", self._limits.look_s)

    async def _on_event(self, event: Event) -> None:
        """Wake the groups that want the task of an event; new observations and offers concern every waiting one."""
        kind = event.type.rpartition(".")[2]
        if kind == "sealed":
            self.wake()
        elif kind in {"started", "committed", "failed"}:
            task, stage = str(event.data.get("task", "")), event.subject.partition("/")[0]
            offers = kind == "committed" and _offers(self._specs.get(stage))
            for name, view in self._groups.items():
                if task in view.spared or (offers and view.phase in {Phase.WAITING, Phase.STALLED}):
                    self._agenda.add(f"group/{name}")

    # -- resources ----------------------------------------------------------------------------------------------

    async def _list(self, _name: str) -> None:
        """Bring what we remember in line with the resources."""
        found = await self._resources.list()
        ours = {item.name: item for item in pipelines().values()} | named(found, Pipeline)
        changed = {name for name in ours.keys() | self._pipelines.keys() if ours.get(name) != self._pipelines.get(name)}
        self._pipelines = ours
        for name, view in self._groups.items():
            if view.group.spec.pipeline in changed:
                self._agenda.add(f"group/{name}")
        self._take_groups(named(found, ObservationGroup))
        for name in self._surveys.take(named(found, Survey)):
            self._agenda.add(f"survey/{name}")
        self._is_listed = True

    def _take_groups(self, found: Mapping[str, ObservationGroup]) -> None:
        for name in [name for name in self._groups if name not in found]:
            del self._groups[name]
            self._agenda.drop(f"group/{name}")
            self.asking.forget(name)
            self._agenda.add("sweep")
        for name, group in found.items():
            view = self._groups.get(name)
            if view is None or view.group.metadata.uid != group.metadata.uid:
                self._groups[name] = GroupView(group, group.status, Shown(group.status))
                self._agenda.add(f"group/{name}")
            elif view.is_edited(group):
                view.group, view.edited = group, True
                self._agenda.add(f"group/{name}")
            else:
                view.group = group
                if group.status != view.shown.status:  # somebody else wrote it: the next look begins from there
                    view.status = view.shown.status = group.status
                    self._agenda.add(f"group/{name}")

    # -- one group ----------------------------------------------------------------------------------------------

    async def _look(self, name: str) -> None:
        """Look once at a group: facts, decision, asking, status."""
        view = self._groups.get(name)
        if view is None:
            return
        group, now = view.group, self._now()
        decision, informed = await self._decide(view, now)
        if view.group is not group or self._groups.get(name) is not view:
            self._agenda.add(f"group/{name}")  # it was edited or deleted while we asked for facts
            return
        if view.edited and informed:
            self._agenda.add("sweep")
        view.take(decision, informed=informed)
        try:
            if informed:
                await self.asking.ask(name, decision.tasks, now)
        except BadConfig as error:
            view.take(refusal(group, now, view.status, str(error)), informed=True)
        except Unavailable as error:
            self._lost(error)
        self._again(name, view, now)
        if self._seen is not None and view.status is not None:
            self._seen(group, replace(decision, status=view.status))
        await self._show(f"group/{name}", view.group, view.shown, view.status)

    async def _decide(self, view: GroupView, now: datetime) -> tuple[Decision, bool]:
        """Return the decision, and whether it stands on facts."""
        group = view.group
        if group.spec.shard != self._bus.shard:
            words = f"spec.shard is {group.spec.shard!r}, this is shard {self._bus.shard!r}; name one that exists"
            return refusal(group, now, view.status, words), True
        chosen = self._pipelines.get(group.spec.pipeline)
        if chosen is None:
            words = f"pipeline {group.spec.pipeline!r} is unknown; known are {', '.join(sorted(self._pipelines))}"
            return refusal(group, now, view.status, words), True
        away = self._bus_away or not self._bus.connected
        known = Facts(bus_away=away, bus_full=group.name in self.asking.full)
        return await self._judge.decide(group, chosen, now, view.status, known)

    def _again(self, name: str, view: GroupView, now: datetime) -> None:
        if name in self.asking.full:
            self._agenda.add(f"group/{name}", self._limits.full_again_s)
        if view.decision is not None and view.decision.look_again is not None:
            wait = (view.decision.look_again - now).total_seconds()
            self._agenda.add(f"group/{name}", max(wait, self._limits.rebind_s))

    async def _form(self, name: str) -> None:
        """Form the groups of a survey."""
        now = self._now()
        formed = await self._surveys.form(name, self._groups, self._pipelines, self._bus.shard, now)
        if formed is None:
            return
        if formed.created:
            self._agenda.add("list")
        if formed.look_again is not None:
            self._agenda.add(f"survey/{name}", max((formed.look_again - now).total_seconds(), self._limits.rebind_s))
        view = self._surveys.view(name)
        if view is not None:
            await self._show(f"survey/{name}", view.survey, view.shown, formed.status)

    async def _show(self, key: str, resource: ObservationGroup | Survey, shown: Shown, status: Status | None) -> None:
        """Write a status that changed; one that is held back, or met a conflict, comes again."""
        try:
            wait = await self._statuses.write(resource, shown, status)
        except Conflict:
            self._agenda.add("list")
            wait = self._limits.rebind_s
        if wait > 0:
            self._agenda.add(key, wait)

    async def _show_all(self) -> None:
        """Write at the end what was held back."""
        for name, view in self._groups.items():
            try:
                await self._statuses.write(view.group, view.shown, view.status, held=False)
            except ContimgError as error:
                _log.warning("status not written", group=name, error=str(error))

    # -- the bus ------------------------------------------------------------------------------------------------

    async def _check_streams(self, _name: str) -> None:
        """Create and check streams and consumers (P1); in an outage say so and try again soon."""
        stages = sorted(name for name, spec in self._specs.items() if spec.scope is not Scope.WATCHER)
        try:
            if await self._bus.ensure_streams(stages):
                self.asking.forget_all()
                self.wake()
        except Unavailable as error:
            self._lost(error)
            self._agenda.add("streams", self._limits.rebind_s)
            return
        finally:
            self._agenda.add("list")  # the first groups are looked at when there is a queue; a lost change is found
        if self._bus_away:
            self._bus_away = False
            _log.info("the bus is back")
            self.wake()
        self._agenda.add("sweep")
        self._agenda.add("streams", self._limits.check_streams_s)
        with contextlib.suppress(Unavailable):  # of a server that refuses figures the work is done all the same
            await self._bus.measure(stages)

    def _lost(self, error: Unavailable) -> None:
        """Note that the bus does not answer, and let every group say so."""
        if not self._bus_away:
            self._bus_away = True
            _log.warning("the bus is away", error=str(error))
            backlog.forget()
            self._agenda.add("streams")
            self.wake()

    async def _sweep(self, _name: str) -> None:
        """Withdraw what lies in the queue and no active group wants; only when all wishes are known."""
        if self._bus_away or not self._is_listed or any(view.edited for view in self._groups.values()):
            return
        for name in await self.asking.withdraw(self._queueable, self._who):
            self._agenda.add(f"group/{name}")

    def _queueable(self) -> set[str]:
        return {task for view in self._groups.values() for task in view.queueable}

    def _who(self, task: str) -> set[str]:
        return {name for name, view in self._groups.items() if task in view.queueable}

    # -- clean-up -----------------------------------------------------------------------------------------------

    async def _say_wanted(self, _name: str) -> None:
        """Tell the keeper every ``cleanup_s`` what unfinished groups want (P12), once all wishes are known."""
        if self.are_wishes_known():
            await self._keeper.wanted({task for view in self._groups.values() for task in view.spared})
            self._agenda.add("wanted", self._limits.cleanup_s)
        else:
            self._agenda.add("wanted", self._limits.look_s)

    async def say_wanted(self) -> bool:
        """Tell the keeper now, if all wishes are known; returns whether they are."""
        if self.are_wishes_known():
            await self._say_wanted("")
        return self.are_wishes_known()

    def are_wishes_known(self) -> bool:
        """Whether it is known what every group wants.

        A group whose spec is refused cannot tell; for a day nothing is cleaned up for its sake.
        """
        since = self._now() - timedelta(seconds=self._limits.unwanted_s)
        unknown = any(view.edited or view.refused_at > since for view in self._groups.values())
        return self._is_listed and not unknown

    # -- the end ------------------------------------------------------------------------------------------------

    def is_over(self, names: Iterable[str], *, arriving: bool) -> bool:
        """Whether nothing will happen to these groups any more without a person, or without new files.

        Parameters
        ----------
        names
            The groups; one that does not exist is over.
        arriving
            Whether files are still to come: then a group that waits for them is not over.
        """
        views = [view for view in map(self._groups.get, names) if view is not None]
        return self._is_listed and self._agenda.is_idle() and all(view.is_over(arriving=arriving) for view in views)


def _offers(spec: StageSpec | None) -> bool:
    """Whether runs of a stage may be used by other groups."""
    return spec is not None and spec.info.offer is not StageInfo.offer
