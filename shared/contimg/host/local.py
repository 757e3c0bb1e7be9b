"""One machine: servers, keeper, ingest, workers and the engine's host in one process.

The same host, engine, bus, keeper and workers as on a cluster; only who starts them differs, and that the resources
are files. Ctrl-C at any moment is safe: the next start finds what was committed and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import structlog

from contimg.bus import Bus
from contimg.engine.advance import Decision
from contimg.errors import BadConfig, ContimgError
from contimg.host.files import FileResources
from contimg.host.host import Host
from contimg.host.outcome import Outcome, outcome_of
from contimg.host.yamlfile import load_resources
from contimg.keeper.keeper import Keeper
from contimg.keeper.service import KeeperClient, serve_keeper, tend
from contimg.limits import ProtocolLimits
from contimg.machine import memory_limit, processors
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.reason import Phase
from contimg.models.spec import Scope, StageSpec, load, specs, watchers
from contimg.models.survey import Survey, SurveyStatus
from contimg.models.task import Event
from contimg.objectstore import S3Target
from contimg.process import in_daemon
from contimg.servers.nats import NatsServer
from contimg.servers.s3 import EmbeddedS3
from contimg.settings import Settings, limits_of
from contimg.volume import disk
from contimg.volume.layout import Layout
from contimg.worker.admission import Admission
from contimg.worker.worker import Worker, register_over

__all__ = ["LocalOptions", "Progress", "Show", "run_here"]

_log = structlog.get_logger(__name__)
SHARD = "main"
SERVER_AWAY_S = 60.0
"""So long a message server that does not start again is tried; the children go on meanwhile."""
SCAN_S = 2.0
"""Pause between two looks at the incoming directories."""
LONG_SCAN = timedelta(seconds=1)
"""A scan that took longer is done again: it counts from its begin, and the groups were seen after that (P10)."""
T = TypeVar("T")


@dataclass(frozen=True)
class LocalOptions:
    """Where and how groups are run on this machine."""

    layout: Layout
    sources: tuple[Path, ...]
    """YAML files of groups and surveys; their status is written beside them."""
    s3: str = "none"
    """``none``, ``embedded``, or ``http(s)://host:port/bucket`` with keys in CONTIMG_S3_ACCESS_KEY / _SECRET_KEY."""
    jobs: int = field(default_factory=processors)
    """Tasks at a time, while memory lasts."""
    arriving: bool = False
    """Files are still to come; otherwise the incoming directories are taken as complete."""
    lasting: bool = False
    """Go on until interrupted, also when nothing is left to do."""
    limits: ProtocolLimits = field(default_factory=lambda: limits_of(Settings.from_environment()))


@dataclass
class Progress:
    """What a display may show."""

    groups: dict[str, GroupStatus] = field(default_factory=dict)
    surveys: dict[str, SurveyStatus] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)
    """``stage unit`` to the last words of its progress."""
    told: list[str] = field(default_factory=list)
    """What was refused or could not be looked at, each once."""


Show = Callable[[Progress], None]


async def run_here(options: LocalOptions, show: Show) -> list[Outcome]:
    """Run the groups and surveys of some files on this machine until nothing more can happen to them.

    Raises
    ------
    BadConfig
        If a file, a directory, a server or the object store cannot be used as configured.
    Unavailable
        If a server or another keeper stands in the way.
    """
    begin = time.monotonic()
    _check(options)
    _prepare(options)
    machine = _Machine(options, show)
    try:
        with Keeper(options.layout, options.limits) as keeper:
            await machine.run(keeper)
            seconds = time.monotonic() - begin
            names = machine.resources.groups()  # without those whose file was removed meanwhile
            decided = [(name, each) for name, each in machine.decisions.items() if name in names]
            return [outcome_of(name, each, keeper, machine.started[name], seconds) for name, each in decided]
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _check(options: LocalOptions) -> None:
    """Read every file before anything is made: a mistake in one leaves no trace."""
    found = [item.resource for source in options.sources for item in load_resources(source)]
    if not any(isinstance(item, ObservationGroup | Survey) for item in found):
        raise BadConfig(f"{options.sources[0]} holds neither ObservationGroup nor Survey; name a file that does")


def _prepare(options: LocalOptions) -> None:
    layout = options.layout
    disk.check_writable(layout.stage_base, "CONTIMG_STAGE_BASE")
    disk.check_writable(layout.data_base, "CONTIMG_DATA_BASE")
    disk.check_writable(layout.state, "CONTIMG_STATE_DIR")
    for root in layout.incoming_roots:
        if not root.is_dir():
            raise BadConfig(f"{root} does not exist; put the raw files there or name their directory by --incoming")
    if options.s3 not in {"none", "embedded"}:
        os.environ["CONTIMG_S3_URL"] = options.s3
        S3Target.from_environment()  # a wrong URL or a missing key is told now, not hours later at the publication
    else:
        os.environ.pop("CONTIMG_S3_URL", None)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended the run: one of ours before any other."""
    ours = group.subgroup(ContimgError) or group
    error = ours.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


class _Machine:
    """The parts that live as long as the run."""

    def __init__(self, options: LocalOptions, show: Show) -> None:
        self.options = options
        self.progress = Progress()
        self.started: Counter[str] = Counter()
        """Attempts of this run, by group."""
        self.resources = FileResources(options.layout, options.sources, self._tell)
        if not (self.resources.groups() or self.resources.surveys()):
            raise BadConfig(
                f"{options.sources[0]} holds neither an ObservationGroup nor a Survey; name a file that does"
            )
        self.decisions: dict[str, Decision] = {}
        """The last one about each group."""
        self._show = show
        self._busy = asyncio.Event()
        """Something was asked for: servers that only stages need are worth their start."""
        self._known: set[str] = set()
        self._wanted: asyncio.Queue[str] = asyncio.Queue()
        """Stages that have something to do in this run, each once."""

    def _tell(self, sentence: str) -> None:
        if sentence not in self.progress.told:
            _log.warning("told", sentence=sentence)
            self.progress.told.append(sentence)

    # -- what happens beside each other -----------------------------------------------------------------------------

    async def run(self, keeper: Keeper) -> None:
        """Start everything, let the host work to its end, end everything."""
        scanner = self._scanner()
        await self._scan(scanner)
        options, layout = self.options, self.options.layout
        async with contextlib.AsyncExitStack() as stack:
            nats = NatsServer(layout.nats)
            stack.callback(nats.stop)
            nats.start()  # from the main thread, which lives as long as the server should
            bus = await Bus.connect(nats.url, nats.user, nats.password, shard=SHARD, limits=options.limits)
            await stack.enter_async_context(bus)
            await serve_keeper(bus, keeper, SHARD)
            host = Host(bus, KeeperClient(bus, SHARD), self.resources, specs(), options.limits, seen=self._seen)
            await bus.ensure_streams()
            await bus.forget_tasks()  # what a killed run had in hand would else come back only after ack_wait
            await bus.subscribe_events(self._on_event)
            async with _together(self._workers(bus), self._watchdog(nats), tend(keeper), self._arrivals(scanner, host)):
                await host.run(lambda: self._is_over(host))
            if await host.say_wanted():
                await asyncio.to_thread(keeper.clean)

    def _is_over(self, host: Host) -> bool:
        over = host.is_over(self.resources.groups(), arriving=self.options.arriving)
        return over and not self.options.lasting

    async def _workers(self, bus: Bus) -> None:
        """Run one worker per stage that has something to do; those that publish wait for the object store."""
        admission = Admission(self.options.jobs, memory_limit(self.options.limits))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publishers(bus, admission))
            while True:
                spec = specs()[await self._wanted.get()]
                if not spec.effect:
                    tasks.create_task(self._worker(bus, spec, admission).run())

    async def _publishers(self, bus: Bus, admission: Admission) -> None:
        await self._busy.wait()
        async with _object_store(self.options), asyncio.TaskGroup() as tasks:
            for spec in specs().values():
                if spec.effect:
                    tasks.create_task(self._worker(bus, spec, admission).run())

    def _worker(self, bus: Bus, spec: StageSpec, admission: Admission) -> Worker:
        """Return the worker of a stage: one child, which uses all cores itself.

        It starts at once: while the first stages work, those of the later ones import and compile on the other core.
        """
        options = self.options
        told = register_over(bus)
        return Worker(options.layout, bus, spec, options.limits, told, admission=admission, prewarm=True)

    async def _watchdog(self, nats: NatsServer) -> None:
        """Start a message server that ended again; the host sees the connection come back.

        Raises
        ------
        ContimgError
            If it does not start for a minute.
        """
        since: float | None = None
        while True:
            await asyncio.sleep(0.2)
            if nats.pid is not None:
                since = None
                continue
            since = since or time.monotonic()
            _log.warning("nats-server ended; starting it again")
            try:
                nats.start()
            except ContimgError:
                if time.monotonic() - since > SERVER_AWAY_S:
                    raise
                await asyncio.sleep(1.0)

    # -- arrivals ---------------------------------------------------------------------------------------------------

    def _scanner(self) -> Any:
        """Return ingest's scanner; services are found by entry point, the library never imports them."""
        spec = next(iter(watchers().values()), None)
        if spec is None:
            raise BadConfig("no watcher of incoming files is installed; run './run setup'")
        return load(spec.runner)(self.options.layout, one_shot=not self.options.arriving, limits=self.options.limits)

    async def _scan(self, scanner: Any) -> Any:
        report = await in_daemon(lambda: scanner.scan(datetime.now(UTC)))
        if not self.options.arriving and datetime.now(UTC) - report.scanned > LONG_SCAN:
            report = await in_daemon(lambda: scanner.scan(datetime.now(UTC)))
        for sentence in [*report.problems, *(record.sentence for record in report.quarantined)]:
            self._tell(sentence)
        return report

    async def _arrivals(self, scanner: Any, host: Host) -> None:
        """Look at the incoming directories again and again; where they are complete, once was enough."""
        before: object = None
        while self.options.arriving:
            report = await self._scan(scanner)
            now = (tuple(item.sentence for item in report.unsealed), len(report.records))
            if report.records or report.quarantined or now != before:
                host.wake()
            before = now
            self._tell_display()  # also what was told while no group had anything to do
            await asyncio.sleep(SCAN_S)

    # -- what is shown ----------------------------------------------------------------------------------------------

    def _seen(self, group: ObservationGroup, decision: Decision) -> None:
        if group.name not in self.resources.groups():
            return
        self.decisions[group.name] = decision
        self.progress.groups[group.name] = decision.status
        if decision.tasks or decision.status.phase is Phase.RUNNING:
            self._busy.set()
            self._want(decision)
        self._tell_display()

    def _want(self, decision: Decision) -> None:
        """Have the workers started of the stages that a group still needs."""
        needed = [task.stage for task in decision.tasks]
        needed += [line.stage for line in decision.status.stages if line.done < line.total]
        for stage in needed:
            spec = specs().get(stage)  # the line of what arrives may be no stage
            if spec is not None and spec.scope is not Scope.WATCHER and stage not in self._known:
                self._known.add(stage)
                self._wanted.put_nowait(stage)

    def _tell_display(self) -> None:
        found = {name: self.resources.store.survey_status(name) for name in self.resources.surveys()}
        self.progress.surveys = {name: status for name, status in found.items() if status is not None}
        self._show(self.progress)

    async def _on_event(self, event: Event) -> None:
        """Note what runs."""
        kind = event.type.rpartition(".")[2]
        name = event.subject.replace("/", " ", 1)
        if kind == "started":
            self.started[str(event.data.get("group", ""))] += 1
            self.progress.running[name] = ""
        elif kind == "progress":
            self.progress.running[name] = str(event.data.get("what", ""))
            self._tell_display()
        elif kind in {"committed", "failed"}:
            self.progress.running.pop(name, None)


@contextlib.asynccontextmanager
async def _together(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run things beside the body; the end of the body ends them, a failure of one ends the body."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in works]
        yield
        for task in running:
            task.cancel()


@contextlib.asynccontextmanager
async def _object_store(options: LocalOptions) -> AsyncIterator[None]:
    """Start the embedded object store where it is asked for, and say by the environment where it is."""
    if options.s3 != "embedded":
        yield
        return
    server = EmbeddedS3(options.layout.data_base.parent / "s3")
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="object-store") as pool:  # it ends with its thread
        try:
            target = await asyncio.get_running_loop().run_in_executor(pool, server.start)
            os.environ |= {
                "CONTIMG_S3_URL": target.url,
                "CONTIMG_S3_ACCESS_KEY": target.access_key,
                "CONTIMG_S3_SECRET_KEY": target.secret_key,
            }
            yield
        finally:
            server.stop()
