"""From a delivered message to its end (architecture.md, P3 to P7).

The order of the steps is the protocol. Each may be the last before a crash; what a successor finds on disk (lock,
records, attempt directories, runs) tells it how to go on. The bus may fail at any time: nothing it carries is
truth, and no outage ends a child.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from contimg import crash
from contimg.bus import Bus, TaskMessage
from contimg.errors import BadInput, ContimgError, Damaged, ResourceExhausted, Retryable, Unavailable, WorkerLost
from contimg.limits import ProtocolLimits
from contimg.models.attempts import Tally, backoff_s, given_up, tally
from contimg.models.manifest import AttemptRecord, AttemptState, Usage
from contimg.models.spec import StageSpec, load
from contimg.models.task import Task
from contimg.stage import Run
from contimg.streams import rpc_subject
from contimg.volume import disk
from contimg.volume.attempt import Attempt, TaskLock, note_wait, open_attempt, read_records, settle
from contimg.volume.commit import adopt, commit, read_run
from contimg.volume.failure import Failure, close_failed
from contimg.volume.layout import Layout
from contimg.volume.names import name_products
from contimg.worker.accounting import count_attempt, count_run, count_task
from contimg.worker.admission import Admission
from contimg.worker.context import read_observation
from contimg.worker.reply import Unforeseen, read_reply
from contimg.worker.warm import ChildDied, WarmChild, completed
from contimg.worker.watch import Frozen, Pulse, Watch

__all__ = ["Handling", "Register", "Slot"]

Register = Callable[[dict[str, Any]], Awaitable[Any]]
"""``await register({"kind": "run" or "attempt", "task": id, "home": type, "number": attempt})``.

Returns when the keeper has indexed it; raises Unavailable when it does not answer, and is then called again.
"""

T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass
class Slot:
    """One place for a task in a worker: what handling a message needs, and the warm child."""

    layout: Layout
    bus: Bus
    spec: StageSpec
    limits: ProtocolLimits
    register: Register
    admission: Admission
    leaving: Callable[[], bool] = lambda: False
    """Whether the worker takes no more tasks: then it waits for no keeper."""
    _child: WarmChild | None = field(default=None, init=False)

    async def child(self) -> WarmChild:
        """Return a child that is fit for an attempt."""
        await self.trim()
        if self._child is None:
            self._child = await WarmChild.start(self.spec, self.layout)
        return self._child

    async def trim(self) -> None:
        """End a worn child at once: while it waits it would keep its memory."""
        if self._child is not None and self._child.is_worn(self.limits):
            await self.drop()

    async def drop(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            await child.end()

    def effect(self, run: Run, task: Task) -> Sequence[dict[str, Any]]:
        """Do what the stage declares to be done after a commit, here and not in the child; idempotent.

        Returns
        -------
        sequence of dict
            What is to be registered after the run, e.g. ``{"kind": "group", "record": ...}``.

        Raises
        ------
        Unforeseen
            If it raised what is no error of ours and no fault of a disk.
        """
        try:
            return load(self.spec.effect)(run, task, self.layout) if self.spec.effect else ()
        except (ContimgError, OSError):
            raise
        except Exception as error:  # a stage's code: whatever it raises is this task's end, not the worker's
            raise Unforeseen(f"{self.spec.effect} raised {type(error).__name__}: {error}") from error


async def _thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run a step in a thread, to its end."""
    return await completed(asyncio.to_thread(function, *arguments))


async def _quietly(call: Awaitable[None]) -> None:
    """Tell the bus something it may miss: the message is then delivered again."""
    with contextlib.suppress(Unavailable):
        await call


class _Leave(Exception):
    """The worker ends while the keeper is silent."""


class Handling:
    """One message in hand."""

    def __init__(self, slot: Slot, message: TaskMessage) -> None:
        self._slot, self._message = slot, message
        self._layout, self._bus, self._limits = slot.layout, slot.bus, slot.limits
        self._lock: TaskLock | None = None
        self._held: list[Attempt | TaskLock] = []
        self._next_event = 0.0
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """See the message through; on return or cancellation it is acked, handed back, given up or left alone."""
        crash.point("worker.fetched")
        task = await self._readable_task()
        if task is None:
            return
        try:
            async with self._alive(), self._slot.admission.slot(task.stage):
                if not await self._message.withdrawn():
                    await self._see_through(task)
        except asyncio.CancelledError:
            await _quietly(self._message.nak())
            raise
        except _Leave:  # whoever gets the message next finds run or record on disk and registers it
            _log.warning("the worker ends and the keeper is silent: handed back", task=task.task)
            await _quietly(self._message.nak())
        except Frozen:
            _log.warning("frozen: attempt discarded", task=task.task)
        except (OSError, ContimgError) as error:  # nothing can be written down about it
            _log.exception("the worker cannot use its disk", task=task.task)
            await self._wait(task, f"the worker of stage {task.stage} cannot use its disk: {error}")
        finally:
            for held in reversed(self._held):
                held.release()

    async def _readable_task(self) -> Task | None:
        spec = self._slot.spec
        try:
            task = self._message.parse() if self._message.readable else None
        except BadInput as error:
            _log.error("unreadable task", error=str(error))
            await _quietly(self._message.term())
            return None
        if task is None or (task.stage, task.recipe_version) != (spec.name, spec.recipe_version):
            _log.warning("VersionSkew: handed back", subject=self._message.subject, ours=spec.recipe_version)
            await _quietly(self._message.nak(self._limits.skew_s))
            return None
        return await self._with_inputs(task) if task.inputs_digest else task

    async def _with_inputs(self, task: Task) -> Task | None:
        """Get the inputs that were too many for the message from the keeper (P2)."""
        try:
            answer = await self._bus.request(rpc_subject(self._bus.shard, "inputs"), {"digest": task.inputs_digest})
        except ContimgError as error:
            await self._wait(task, f"the keeper does not give the inputs of this task: {error}")
            return None
        inputs = {home: tuple(tasks) for home, tasks in answer["inputs"].items()}
        return task.model_copy(update={"inputs": inputs, "inputs_digest": ""})

    @contextlib.asynccontextmanager
    async def _alive(self) -> AsyncIterator[None]:
        """Show every tick that the message is worked on. The child's progress is watched beside this, and ends it."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait({beating, *self._sending})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._limits.tick_s)
            await _quietly(self._message.in_progress())
            if self._lock is not None:
                with contextlib.suppress(OSError):  # the message must stay ours, whatever became of the file
                    self._lock.touch()

    async def _see_through(self, task: Task) -> None:
        try:
            await self._start(task)
        except Damaged as error:
            if self._layout.run(task.home, task.task).is_dir():
                await self._fail(task, await self._open(task), self._judge(task, error), Usage())
            else:  # the clean-up was quicker than our registration
                await self._wait(task, f"the run of this task is gone, it is made again: {error}")
        except (ContimgError, Unforeseen) as error:  # an effect that failed, a run that the keeper refuses
            await self._fail(task, await self._open(task), self._judge(task, error), Usage())

    def _count(self, task: Task) -> Tally:
        return tally(read_records(self._layout, task.task), task.round)

    async def _open(self, task: Task) -> Attempt:
        workspace, round_ = self._slot.spec.workspace, self._count(task).round
        attempt = await _thread(open_attempt, self._layout, workspace, task, round_)
        self._held.append(attempt)
        return attempt

    async def _wait(self, task: Task, what: str) -> None:
        """Hand back what cannot begin now, and say why: in a record for the keeper, in an event."""
        _log.warning(what, task=task.task, stage=task.stage)
        with contextlib.suppress(ContimgError, OSError):  # the event still tells it
            await _thread(note_wait, self._layout, task.task, what)
        await self._tell("progress", task, {"attempt": 0, "done": 0, "total": 0, "what": what})
        await _quietly(self._message.nak(self._limits.space_s))

    # -- P3 -----------------------------------------------------------------------------------------------------

    async def _start(self, task: Task) -> None:
        lock = self._lock = TaskLock.take(self._layout, task.task)
        self._held.append(lock)
        if not lock.held and lock.age_s < self._limits.lock_fresh_s:
            await _quietly(self._message.nak(self._limits.busy_s))
            return
        lock.touch()
        for record in await _thread(settle, self._layout, task.task, self._layout.run(task.home, task.task)):
            await self._register_attempt(task, record)
            if record.state is AttemptState.FAILED:
                count_task(task.stage, "lost")
        run = await _thread(adopt, self._layout, task.home, task.task)
        if run is not None:
            count_task(task.stage, "adopted")
            await self._finish(task, run)
            return
        count = self._count(task)
        if given_up(count, self._limits, task.limits.tries):
            await self._give_up(task, count.last)
        elif (short := await _thread(self._short_of_space, task)) > 0:
            where = self._layout.active(self._slot.spec.workspace)
            await self._wait(task, f"WaitingForSpace: {short} bytes are missing in {where}; free so many")
        else:
            await self._work(task, await self._open(task))

    def _short_of_space(self, task: Task) -> int:
        """Return how many bytes are missing for the stage's estimate: 1.2 times its inputs, plus the margin."""
        needed = max(int(1.2 * self._input_bytes(task)), self._limits.space_floor_bytes)
        directory = self._layout.active(self._slot.spec.workspace)
        directory.mkdir(parents=True, exist_ok=True)
        return int((1 + self._limits.space_margin) * needed) - shutil.disk_usage(directory).free

    def _input_bytes(self, task: Task) -> int:
        total = 0
        for home, one in ((home, one) for home, ids in task.inputs.items() for one in ids):
            with contextlib.suppress(Damaged):  # and a missing record: the child's to report
                run = read_run(self._layout, home, one)
                total += sum(product.bytes for product in run.manifest.products) if run else 0
        with contextlib.suppress(Retryable):
            total += read_observation(self._layout, task.observation).bytes if task.observation else 0
        return total

    # -- P4 and P5 ----------------------------------------------------------------------------------------------

    async def _work(self, task: Task, attempt: Attempt) -> None:
        count_task(task.stage, "started")
        await self._tell("started", task, {"attempt": attempt.record.number})
        usage = Usage()
        try:
            child = await self._slot.child()
            watched = Watch(child, task, self._limits, Pulse(self._limits))
            try:
                answer = await watched.run(attempt.path, lambda *what: self._progress(task, attempt, *what))
            finally:
                usage = watched.usage()
                self._slot.admission.note(task.stage, usage.peak_bytes)
            crash.point("worker.answered")
            run = await _thread(commit, self._layout, attempt, task, read_reply(answer), usage)
        except asyncio.CancelledError:
            await self._hand_back(task, attempt, "the worker was told to stop", usage)
            raise
        except Frozen:
            await self._hand_back(task, attempt, "this worker was frozen while others went on", usage)
            raise
        except (ContimgError, ChildDied, Unforeseen, OSError, ValueError) as error:
            await self._slot.drop()
            count_attempt(task.stage, "failed", usage)
            await self._fail(task, attempt, self._judge(task, error), usage)
        else:
            attempt.release()
            count_task(task.stage, "committed")
            count_attempt(task.stage, "committed", usage)
            count_run(run.manifest)
            await self._finish(task, run)

    def _judge(self, task: Task, error: Exception) -> Failure:
        """Return what kind of failure an error is."""
        if isinstance(error, ContimgError):
            return Failure.of(error)
        if isinstance(error, ChildDied) and error.status == -signal.SIGKILL:
            return Failure.of(WorkerLost(f"{error}, by somebody else"))
        if isinstance(error, OSError) and error.errno in disk.FULL:
            return Failure.of(ResourceExhausted(f"the disk of the run is full: {error}; free some space"))
        if isinstance(error, OSError) and error.errno in disk.PASSING:
            return Failure.of(Retryable(f"the disk of the run is in trouble: {error}; it may pass"))
        return Failure.unforeseen(str(error), self._count(task))

    async def _hand_back(self, task: Task, attempt: Attempt, why: str, usage: Usage) -> None:
        """End an attempt that is nobody's fault: its record stays and counts as no try."""
        await self._slot.drop()
        if attempt.path.exists():
            failure = Failure("Retryable", why, counted=False)
            await _thread(close_failed, self._layout, attempt, task, failure, Usage())
        attempt.release()
        count_task(task.stage, "handed_back")
        count_attempt(task.stage, "handed_back", usage)
        crash.point("worker.handed-back")

    def _progress(self, task: Task, attempt: Attempt, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if now < self._next_event:
            return
        self._next_event = now + self._limits.progress_s
        data = {"attempt": attempt.record.number, "done": done, "total": total, "what": what}
        sending = asyncio.create_task(self._tell("progress", task, data))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    # -- P6 -----------------------------------------------------------------------------------------------------

    async def _finish(self, task: Task, run: Run) -> None:
        crash.point("worker.committed")
        try:
            noted = await _thread(self._slot.effect, run, task)
        except Unavailable as error:  # an outage of what lies outside uses up no try, however long it is
            await self._wait(task, f"the run is committed; what follows it waits: {error}")
            return
        crash.point("worker.effected")
        await _thread(name_products, self._layout, run)
        crash.point("worker.named")
        number = run.manifest.attempt
        await self._registered({"kind": "run", "task": task.task, "home": task.home, "number": number})
        for payload in noted:
            await self._registered(payload)
        crash.point("worker.registered")
        data = {"attempt": number, "home": task.home, "verdict": run.manifest.verdict}
        await self._tell("committed", task, data)
        crash.point("worker.told")
        await _quietly(self._message.ack(self._limits.rpc_s))
        crash.point("worker.acked")

    async def _registered(self, payload: dict[str, Any]) -> None:
        """Tell the keeper until it has understood; a worker that is to end asks it once more and leaves.

        A drained node takes keeper and bus away first, and nobody would answer for the whole time limit of the stage.
        """
        while True:
            leaving = self._slot.leaving()
            try:
                await self._slot.register(payload)
            except Unavailable as error:
                _log.info("the keeper is silent", error=str(error), **payload)
                if leaving:
                    raise _Leave from error
                await asyncio.sleep(self._limits.register_s)
            else:
                return

    async def _register_attempt(self, task: Task, record: AttemptRecord) -> None:
        payload = {"kind": "attempt", "task": task.task, "home": task.home, "number": record.number}
        try:
            await self._registered(payload)
        except ContimgError as error:  # the record is on disk; the keeper's scan finds it
            _log.warning("the keeper refuses an attempt", error=str(error), **payload)

    async def _tell(self, kind: str, task: Task, data: dict[str, Any]) -> None:
        common = {"task": task.task, "group": task.group, "unit": task.unit, "trace": task.trace}
        await self._bus.event(kind, task.stage, task.unit, common | data)

    # -- P7 -----------------------------------------------------------------------------------------------------

    async def _fail(self, task: Task, attempt: Attempt, failure: Failure, usage: Usage) -> None:
        count_task(task.stage, "failed")
        closed = await _thread(close_failed, self._layout, attempt, task, failure, usage)
        await self._register_attempt(task, closed)
        crash.point("failure.registered")
        count = self._count(task)
        if given_up(count, self._limits, task.limits.tries):
            await self._give_up(task, closed)
            return
        await self._tell_failure(task, closed, final=False)
        await _quietly(self._message.nak(backoff_s(count.failed, self._limits)))
        crash.point("failure.handed-back")

    async def _give_up(self, task: Task, last: AttemptRecord | None) -> None:
        assert last is not None  # noqa: S101 - only failures on record forbid another try
        await self._tell_failure(task, last, final=True)
        crash.point("failure.told")
        count_task(task.stage, "dead")
        await _quietly(self._bus.dead(task, f"{last.error}: {last.message}"))
        crash.point("failure.copied")
        await _quietly(self._message.term())
        crash.point("failure.given-up")

    async def _tell_failure(self, task: Task, record: AttemptRecord, *, final: bool) -> None:
        data = {"attempt": record.number, "error": record.error, "message": record.message, "final": final}
        await self._tell("failed", task, data)
