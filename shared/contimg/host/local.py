"""One machine: servers, keeper, ingest, workers and the engine's host in one process.

The same engine, bus, keeper and workers as on a cluster; only who starts them differs. Ctrl-C at any moment is
safe: the next start finds what was committed and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import structlog

from contimg.archive import Archive
from contimg.bus import Bus
from contimg.engine.advance import Decision, advance
from contimg.errors import BadConfig, ContimgError, Unavailable
from contimg.host.files import Shelf
from contimg.host.host import Host
from contimg.host.outcome import Outcome, outcome_of
from contimg.keeper.keeper import Keeper, holder
from contimg.keeper.service import serve_keeper
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.params import specs
from contimg.models.pipeline import Pipeline
from contimg.models.task import Event
from contimg.pipelines import pipeline as shipped
from contimg.servers.nats import NatsServer
from contimg.servers.s3 import EmbeddedS3, target_of
from contimg.volume.files import make_directory
from contimg.volume.layout import Layout
from contimg.worker.worker import Worker, register_over
from contimg_publish.effect import publish_effect

__all__ = ["LocalOptions", "Progress", "look_at", "run_group"]

_log = structlog.get_logger(__name__)
SHARD = "main"
BUS_AWAY_S = 60.0
"""An outage of the bus that is bridged; the children go on meanwhile."""
LOOK_S = 2.0
"""How often the host looks without being woken; events wake it at once."""


@dataclass(frozen=True)
class LocalOptions:
    """Where and how a group is run on this machine."""

    layout: Layout
    source: Path
    """The YAML file of the group; its status is written beside it."""
    s3: str = "none"
    """``none``, ``embedded``, or ``http(s)://host:port/bucket`` with keys in CONTIMG_S3_ACCESS_KEY / _SECRET_KEY."""
    jobs: int = 1
    """Heavy tasks at a time."""
    watch: bool = False
    """Wait for files that are still to come; otherwise ``incoming/`` is taken as complete."""
    limits: ProtocolLimits = field(default_factory=ProtocolLimits)


@dataclass(frozen=True)
class Progress:
    """What a display may show."""

    status: GroupStatus
    running: dict[str, str]
    """``stage unit`` to the last words of its progress."""


Watcher = Callable[[Progress], None]


def _scanner(options: LocalOptions) -> Any:
    """Return ingest's scanner; services are found by entry point, the library never imports them."""
    point = next(iter(entry_points(group="contimg.watchers", name="ingest")), None)
    if point is None:
        raise BadConfig("the package contimg_ingest is not installed; run './run setup'")
    layout = options.layout
    return point.load()(layout.incoming, layout.observations, layout.quarantine, one_shot=not options.watch)


def _prepare(layout: Layout) -> None:
    make_directory(layout.stage_base, "CONTIMG_STAGE_BASE")
    make_directory(layout.data_base, "CONTIMG_DATA_BASE")
    make_directory(layout.state, "CONTIMG_STATE_DIR")
    if not layout.incoming.is_dir():
        raise BadConfig(
            f"{layout.incoming} does not exist; put the raw files there or name their directory by --incoming"
        )


class _Machine:
    """The parts that live as long as the run."""

    def __init__(self, group: ObservationGroup, pipeline: Pipeline, options: LocalOptions, watcher: Watcher) -> None:
        self.group = group
        self.pipeline = pipeline
        self.options = options
        self.watcher = watcher
        self.shelf = Shelf(options.layout)
        self.keeper = Keeper(options.layout, options.limits)
        self.scanner = _scanner(options)
        self.wake = asyncio.Event()
        self.running: dict[str, str] = {}
        self.status: GroupStatus | None = self.shelf.status(group.name)
        self.started = 0
        self.tended: float | None = None
        self.crash: BaseException | None = None
        """What ended a worker."""
        self.told: set[str] = set()

    def look(self) -> None:
        """Scan ``incoming/`` once, tell the keeper, log once what could not be looked at."""
        report = self.scanner.scan(datetime.now(UTC))
        for sentence in sorted(set(report.problems) - self.told):
            _log.warning("incoming", sentence=sentence)
        self.told.update(report.problems)
        if not self.options.watch:
            report.scanned_at = datetime.now(UTC)  # nobody adds files (ADR 0001), and a scan may take long
        self.keeper.refresh_ingest(report)

    def facts(self) -> Facts:
        """Return the keeper's facts for this group."""
        return self.keeper.facts()

    async def facts_async(self, _group: ObservationGroup) -> Facts:
        """Return the same as the host wants it."""
        return self.facts()

    def wanted(self, decision: Decision) -> set[str]:
        """Return what this group wants, and every other unfinished group of this state directory (P12)."""
        found, facts = set(_wishes(decision)), self.facts()
        for name in self.shelf.names():
            if name != self.group.name:
                other, _ = self.shelf.get(name)
                chosen, status = shipped(other.spec.pipeline), self.shelf.status(name)
                found.update(_wishes(advance(other, chosen, specs(), facts, datetime.now(UTC), status)))
        return found

    def tend(self, decision: Decision) -> None:
        """Clean up as the keeper of a cluster does; what is in the way is logged, the run goes on.

        Where a group cannot be read it is not known what it wants: then nothing is released.
        """
        self.tended = time.monotonic()
        try:
            self.keeper.scan()
            self.keeper.wanted(self.wanted(decision))
            cleaned = self.keeper.clean()
        except (ContimgError, OSError) as error:
            _log.warning("could not clean up", error=str(error))
            return
        if cleaned.released or cleaned.attempts:
            _log.info("cleaned", released=len(cleaned.released), attempts=len(cleaned.attempts))

    def is_tended(self) -> bool:
        """Whether it was cleaned up lately."""
        return self.tended is not None and time.monotonic() - self.tended < self.options.limits.cleanup_s

    def show(self, decision: Decision) -> None:
        """Keep the status, tell the display."""
        if decision.status != self.status:
            self.shelf.put_status(self.group, self.options.source, decision.status)
        self.status = decision.status
        self.watcher(Progress(decision.status, dict(self.running)))

    def on_worker_end(self, task: asyncio.Task[None]) -> None:
        """Note what ended a worker by itself: nobody would do its tasks, and the run would wait for ever."""
        if not task.cancelled() and task.exception() is not None:
            self.crash = task.exception()
            self.wake.set()

    async def on_event(self, event: Event) -> None:
        """Note what runs; wake the host."""
        kind = event.type.rsplit(".", 1)[-1]
        name = event.subject.replace("/", " ", 1)
        if kind == "started":
            self.started += 1
            self.running[name] = ""
        elif kind == "progress":
            self.running[name] = str(event.data.get("what", ""))
        elif kind in {"committed", "failed"}:
            self.running.pop(name, None)
        if kind == "progress" and self.status is not None:
            self.watcher(Progress(self.status, dict(self.running)))
        else:
            self.wake.set()


def _wishes(decision: Decision) -> tuple[str, ...]:
    """Return what a group wants; a group whose spec is refused cannot tell."""
    stalled = decision.status.condition("Stalled")
    if stalled is not None and stalled.status == "True" and stalled.reason == "BadConfig":
        raise BadConfig(f"what a group wants is not known while its spec is refused: {stalled.message}")
    return decision.wanted


def _over(decision: Decision, machine: _Machine) -> bool:
    """Whether nothing will happen any more without new files or a person."""
    if machine.running or decision.tasks:
        return False
    status = decision.status
    succeeded, progressing = status.condition("Succeeded"), status.condition("Progressing")
    if succeeded is not None and succeeded.status == "True":
        return True
    if any(stage.running for stage in status.stages):
        return False
    if progressing is not None and progressing.status == "Unknown":
        return False
    return not machine.options.watch or status.phase in {"Failed", "Stalled", "Suspended", "Unpublished"}


async def run_group(group: ObservationGroup, pipeline: Pipeline, options: LocalOptions, watcher: Watcher) -> Outcome:
    """Run a group on this machine until it is published, or nothing more can happen.

    Raises
    ------
    BadConfig
        If a directory, a server or the object store cannot be used as configured.
    Unavailable
        If a server or another keeper stands in the way.
    """
    begin = time.monotonic()
    _prepare(options.layout)
    if options.s3 not in {"none", "embedded"}:
        target_of(options.s3)  # a wrong URL or a missing key is told now, not after hours at the first publication
    machine = _Machine(group, pipeline, options, watcher)
    try:
        machine.group = machine.shelf.put(group, options.source)
        await asyncio.to_thread(machine.look)
        decision = advance(machine.group, pipeline, specs(), machine.facts(), datetime.now(UTC), machine.status)
        machine.show(decision)
        if not _over(decision, machine):
            decision = await _with_servers(machine)
        await asyncio.to_thread(machine.tend, decision)
        seconds = time.monotonic() - begin
        return outcome_of(machine.group, decision, machine.keeper, machine.started, seconds)
    finally:
        machine.keeper.scan()  # an interrupted attempt is closed on disk only
        machine.keeper.close()


def look_at(group: ObservationGroup, pipeline: Pipeline, options: LocalOptions) -> Decision:
    """Decide once, without asking for anything: while another process runs the group, what that one decided last.

    Raises
    ------
    BadConfig
        If a directory cannot be used.
    """
    shelf = Shelf(options.layout)
    known = shelf.status(group.name)
    is_done = known is not None and known.phase == "Published" and not options.layout.incoming.is_dir()
    if known is not None and (is_done or holder(options.layout)):
        return Decision((), known)
    _prepare(options.layout)
    with Keeper(options.layout, options.limits) as keeper:
        begun = datetime.now(UTC)  # the group counts as seen before the scan, however long that takes (P10)
        keeper.refresh_ingest(_scanner(options).scan(begun))
        return advance(group, pipeline, specs(), keeper.facts(), begun, known)


async def _with_servers(machine: _Machine) -> Decision:
    options = machine.options
    async with contextlib.AsyncExitStack() as stack:
        nats = NatsServer(options.layout.state / "nats")
        stack.callback(nats.stop)
        nats.start()  # from the main thread, which lives as long as the server should
        bus = await Bus.connect(nats.url, nats.user, nats.password, shard=SHARD, limits=options.limits)
        await stack.enter_async_context(bus)
        host = Host(bus, machine.facts_async, specs(), options.limits)
        await host.prepare({machine.pipeline.name: machine.pipeline})
        await bus.forget_tasks()  # what a killed run had in hand would else come back only after ack_wait
        await bus.subscribe_events(machine.on_event)
        await serve_keeper(bus, machine.keeper, SHARD)
        archive = stack.enter_context(_archive(options))
        await stack.enter_async_context(_workers(machine, bus, archive))
        return await _drive(machine, host, nats)


@contextlib.contextmanager
def _archive(options: LocalOptions) -> Iterator[Future[Archive]]:
    """Start the object store beside the first stages; who publishes waits for it."""
    servers: list[EmbeddedS3] = []

    def start() -> Archive:
        target = None
        if options.s3 == "embedded":
            servers.append(EmbeddedS3(options.layout.data_base.parent / "s3"))
            target = servers[0].start()
        elif options.s3 != "none":
            target = target_of(options.s3)
        return Archive(options.layout, target)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="object-store") as pool:
        starting = pool.submit(start)
        try:
            yield starting
        finally:
            wait([starting])
            for server in servers:
                server.stop()


@contextlib.asynccontextmanager
async def _workers(machine: _Machine, bus: Bus, archive: Future[Archive]) -> AsyncIterator[None]:
    """Run one worker loop per stage; at the end they hand back what they were doing."""
    options = machine.options
    jobs = asyncio.Semaphore(options.jobs)
    effects = {"publish": publish_effect(archive.result)}
    chosen = [specs()[item.stage] for item in machine.pipeline.stages if item.stage in specs()]
    register = register_over(bus)
    workers = [Worker(options.layout, bus, s, options.limits, register, effects=effects, jobs=jobs) for s in chosen]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    for task in running:
        task.add_done_callback(machine.on_worker_end)
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class _Watchdog:
    """Keeps queue and streams alive (P1): starts a dead server again, checks streams, bridges a short outage."""

    def __init__(self, machine: _Machine, host: Host, nats: NatsServer) -> None:
        self._machine, self._host, self._nats = machine, host, nats
        self._check_at = time.monotonic() + machine.options.limits.check_streams_s
        self._silent_since: float | None = None

    async def reconcile(self) -> Decision | None:
        """Look once at the group; None while the bus is away.

        Raises
        ------
        Unavailable
            If the bus stays away for a minute.
        """
        machine = self._machine
        try:
            if time.monotonic() >= self._check_at:
                await self._check()
            decision = await self._host.reconcile(machine.group, machine.pipeline, machine.status)
        except Unavailable as error:
            now = time.monotonic()
            self._silent_since = self._silent_since or now
            self._check_at = now
            _log.warning("the bus is away", error=str(error))
            if now - self._silent_since > BUS_AWAY_S:
                raise
            return None
        self._silent_since = None
        return decision

    async def _check(self) -> None:
        if self._nats.pid is None:
            _log.warning("nats-server ended; starting it again")
            self._nats.start()
        await self._host.prepare({self._machine.pipeline.name: self._machine.pipeline})
        self._check_at = time.monotonic() + self._machine.options.limits.check_streams_s


async def _drive(machine: _Machine, host: Host, nats: NatsServer) -> Decision:
    """Reconcile whenever something happened, until it is over."""
    watchdog = _Watchdog(machine, host, nats)
    while True:
        machine.wake.clear()
        decision = await watchdog.reconcile()
        if decision is not None:
            machine.show(decision)
            if _over(decision, machine):
                return decision
            if not machine.is_tended():
                await asyncio.to_thread(machine.tend, decision)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(machine.wake.wait(), LOOK_S)
        if machine.crash is not None:
            raise machine.crash
        if machine.options.watch:
            await asyncio.to_thread(machine.look)
