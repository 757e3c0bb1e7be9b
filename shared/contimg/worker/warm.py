"""The parent's side of the warm child: start it, talk to it, end it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import psutil

from contimg.limits import MIB, ProtocolLimits
from contimg.machine import processors
from contimg.models.spec import StageSpec
from contimg.models.task import Task
from contimg.volume.attempt import LOG
from contimg.volume.layout import Layout
from contimg.worker.reply import Declaration

__all__ = [
    "ChildDied", "Progress", "WarmChild", "child_environment", "completed", "describe_status", "thread_environment",
]  # fmt: skip

T = TypeVar("T")

Progress = Callable[[int, int, str], None]
_LONGEST_LINE = 64 * MIB
END_S = 30.0
"""So long a killed child is waited for [s]."""


async def completed(work: Coroutine[Any, Any, T]) -> T:
    """Await something to its end; a cancellation is obeyed only then."""
    step = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not step.done():
        try:
            await asyncio.wait({step})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return step.result()


class ChildDied(Exception):
    """The process ended instead of answering."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the stage's process ended by {describe_status(status)}")
        self.status = status
        """Exit code, or minus the number of the signal."""


def describe_status(status: int) -> str:
    """Return ``exit code 3`` or ``SIGSEGV``."""
    if status >= 0:
        return f"exit code {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def thread_environment() -> dict[str, str]:
    """Return what numerical libraries read at their import: as many threads as the CPU limit allows.

    BLAS gets one thread, and the kernels of one kind of processor: it adds in an order that depends on both, and
    results must not. ``OPENBLAS_CORETYPE`` of a machine's own settings counts as little as its processor.
    """
    threads = str(processors())
    blas = {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell"}
    return {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads, "MPLBACKEND": "Agg"} | blas


def child_environment(layout: Layout) -> dict[str, str]:
    """Return the environment of a child: ours, the layout, and what numerical libraries read at their import.

    Their caches lie on the fast disk: in a container there is no home, and all else is read-only.
    """
    libraries = {"NUMBA_CACHE_DIR": "numba", "MPLCONFIGDIR": "matplotlib"}
    caches = {variable: str(layout.cache(name)) for variable, name in libraries.items()}
    return caches | os.environ | layout.as_environment() | thread_environment()


class WarmChild:
    """One process in its own group; made by :meth:`start`."""

    living: ClassVar[set[int]] = set()
    """Process ids of all children of this process."""

    def __init__(self, process: subprocess.Popen[bytes], replies: asyncio.StreamReader) -> None:
        self._process = process
        self.living.add(process.pid)
        self._replies = replies
        self._base_bytes = 0
        self.attempts = 0
        """How many it has served."""

    @classmethod
    async def start(cls, spec: StageSpec, layout: Layout) -> Self:
        """Start the process; it imports while we go on.

        Call it on the main thread: the kernel ends the child with the thread that started it.
        """
        ours, theirs = os.pipe()
        arguments = [Declaration.of(spec).model_dump_json(), str(theirs), str(os.getpid())]
        layout.logs.mkdir(parents=True, exist_ok=True)
        with (layout.logs / f"{spec.name}.log").open("ab") as noise:  # of imports; attempts have their own log
            process = subprocess.Popen(  # noqa: S603, ASYNC220 - own argument list; must stay on this thread
                [sys.executable, "-m", "contimg.worker.child", *arguments],
                stdin=subprocess.PIPE,
                stdout=noise,
                stderr=noise,
                env=child_environment(layout),
                pass_fds=[theirs],
                process_group=0,
            )
        os.close(theirs)
        reader = asyncio.StreamReader(limit=_LONGEST_LINE)
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(ours, "rb", 0))
        return cls(process, reader)

    @property
    def pid(self) -> int:
        """Process id, which is its group's too."""
        return self._process.pid

    async def converse(self, task: Task, workdir: Path, progress: Progress) -> dict[str, Any]:
        """Let it run one attempt and return its answer: a result or an error.

        Raises
        ------
        ChildDied
            If it ended instead.
        """
        if self.attempts == 0:
            ready = await self._read()
            if "ready" not in ready:
                (workdir / LOG).write_text(ready.pop("log", ""))
                return ready
            self._base_bytes = self._resident()
        self.attempts += 1
        request = {"task": task.model_dump(mode="json"), "workdir": str(workdir)}
        await asyncio.to_thread(self._send, request)
        while True:
            message = await self._read()
            if "progress" not in message:
                return message
            progress(*message["progress"])

    def _send(self, request: dict[str, Any]) -> None:
        """Write a request; waits while the pipe is full, which a child that stands still never empties."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe by construction
        with contextlib.suppress(BrokenPipeError):  # then the next read finds the end
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    async def _read(self) -> dict[str, Any]:
        line = await self._replies.readline()
        if not line.endswith(b"\n"):
            raise ChildDied(await self.end())
        message: dict[str, Any] = json.loads(line)
        return message

    def is_worn(self, limits: ProtocolLimits) -> bool:
        """Whether it should be replaced before the next attempt."""
        grown = self._resident() - self._base_bytes > limits.child_growth_bytes
        return self._has_ended() or self.attempts >= limits.child_attempts or grown

    def _has_ended(self) -> bool:
        try:
            return self._look()
        except ChildProcessError:
            return True

    def _look(self) -> bool:
        """Whether it ended, without reaping it: while the dead leader keeps its number, its group can be ended safely.

        Raises
        ------
        ChildProcessError
            If somebody has reaped it.
        """
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _resident(self) -> int:
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(self.pid).memory_info().rss)
        return 0

    async def end(self) -> int:
        """Kill the whole group and return how the process ended."""
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            self._look()  # raises when it was reaped: its number may be another's by now
            os.killpg(self.pid, signal.SIGKILL)
        try:
            status = await asyncio.to_thread(self._process.wait, END_S)
        except subprocess.TimeoutExpired:  # it hangs in the kernel, at a disk; the kernel ends it when that answers
            status = -signal.SIGKILL
        self.living.discard(self.pid)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        return status
