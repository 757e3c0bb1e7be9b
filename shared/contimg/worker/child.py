"""The warm child of a worker: imports a stage once and runs its attempts one after another.

Started as ``python -m contimg.worker.child <declaration> <reply descriptor> <parent pid>``; the declaration is that
of :class:`Declaration` in JSON. Requests come as JSON lines on stdin; progress and results go as JSON lines to the
reply descriptor. What the stage or its programs print goes to ``log.txt`` of the attempt. The kernel ends the child
with its parent, and takes it first when memory runs out. Imports no science but the stage's own.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import structlog

from contimg import crash
from contimg.models.spec import load
from contimg.models.task import Task
from contimg.stage import Stage
from contimg.telemetry import configure_logging
from contimg.volume.attempt import LOG
from contimg.volume.layout import Layout
from contimg.worker.context import build_context
from contimg.worker.reply import GUARD, Declaration, failure, reply_of, success

__all__ = ["main"]

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_REPORT_EVERY_S = 0.1


class _Replies:
    """The channel back to the parent."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._output = os.fdopen(descriptor, "w")
        self._next_report = 0.0

    def send(self, message: dict[str, Any]) -> None:
        self._output.write(json.dumps(message) + "\n")
        self._output.flush()

    def report(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if now >= self._next_report or done == total:
            self._next_report = now + _REPORT_EVERY_S
            self.send({"progress": [int(done), int(total), what]})


def main() -> None:
    """Serve attempts until stdin ends."""
    declared, descriptor, parent = sys.argv[1:4]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        return  # the parent died before the kernel knew of the promise
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    _guard_group()
    requests, replies = _private_stdin(), _Replies(int(descriptor))
    configure_logging(json_lines=True)
    worker = _Worker(Declaration.model_validate_json(declared), replies)
    for line in requests:
        request = json.loads(line)
        workdir = Path(request["workdir"])
        with _output_to(workdir / LOG):
            replies.send(worker.serve(Task.model_validate(request["task"]), workdir))


def _guard_group() -> None:
    """Leave a process behind that ends our whole group when we die: programs that a stage started outlive us else."""
    us = os.getpid()
    if os.fork() != 0:
        return
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, GUARD.encode())
    ours = os.pidfd_open(us)
    os.closerange(0, ours)  # above all the channel to the parent, which must see its end
    os.closerange(ours + 1, ours + 64)
    select.select([ours], [], [])
    with contextlib.suppress(ProcessLookupError):
        os.killpg(us, signal.SIGKILL)
    os._exit(0)


def _private_stdin() -> TextIO:
    """Keep stdin for ourselves: programs that a stage starts must not read our requests."""
    requests = os.fdopen(os.dup(0), "r")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return requests


class _Worker:
    """The stage, imported."""

    def __init__(self, declared: Declaration, replies: _Replies) -> None:
        self._name, self._replies = declared.stage, replies
        failures: list[dict[str, Any]] = []
        with _told(failures, Path()):
            self._params, self._options, self._info = (
                load(place) for place in (declared.params, declared.options, declared.info)
            )
            runner: type[Stage[Any]] = load(declared.runner)
            runner.warm_up()
            self._stage = runner()
        if failures:
            replies.send(failures[0])
            sys.exit(1)
        replies.send({"ready": True})

    def serve(self, task: Task, workdir: Path) -> dict[str, Any]:
        """Run one attempt; return the answer."""
        log = structlog.get_logger("contimg").bind(group=task.group, stage=task.stage, attempt=workdir.name)
        answers: list[dict[str, Any]] = []
        with _told(answers, workdir):
            layout = Layout.from_environment()
            context = build_context(
                layout, task, self._params, self._options, workdir, self._replies.report, log.bind(trace=task.trace)
            )
            crash.point("child.started")
            result = self._stage.run(context)
            crash.point("child.done")
            answer = success(reply_of(self._name, context, result, self._info))
            json.dumps(answer)  # what cannot be told must fail here, where the reason is kept
            answers.append(answer)
        return answers[0]


@contextlib.contextmanager
def _told(answers: list[dict[str, Any]], workdir: Path) -> Iterator[None]:
    """Turn whatever is raised inside into an answer to the parent, with the traceback."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a stage raises: its class decides in the parent what happens next
        traceback.print_exc()
        answers.append(failure(error, workdir) | {"log": traceback.format_exc()})


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send everything that this process and its children print to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in zip((1, 2), kept, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)


if __name__ == "__main__":
    main()
