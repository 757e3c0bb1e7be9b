"""The warm child of a worker: imports a stage once and runs its attempts one after another.

Started as ``python -m contimg.worker.child <stage> <runner> <params class> <reply descriptor> <parent pid>``.
Requests come as JSON lines on stdin; progress and results go as JSON lines to the reply descriptor. What the stage
or CASA print goes to ``log.txt`` of the attempt. The kernel ends the child with its parent. Imports no science
but the stage's own.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import math
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import structlog

from contimg import crash
from contimg.errors import BadConfig, ContimgError
from contimg.limits import MIB
from contimg.models.params import StageParams, load
from contimg.models.task import Task
from contimg.stage import Stage, StageResult
from contimg.telemetry import configure_logging
from contimg.volume.attempt import LOG
from contimg.volume.layout import Layout
from contimg.worker.context import Sources, build_context

__all__ = ["main", "plain", "software_versions"]

_PR_SET_PDEATHSIG = 1
_REPORT_EVERY_S = 0.1
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_SOFTWARE = (
    "aoflagger", "astropy", "astropy-iers-data", "casadata", "casatasks", "casatools", "ducc0", "h5py", "numba",
    "numpy", "python-casacore", "pyuvdata", "scipy", "sep",
)  # fmt: skip


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


def main(argv: list[str] | None = None) -> None:
    """Serve attempts until stdin ends."""
    stage_name, runner, params, descriptor, parent = (argv or sys.argv)[1:6]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        return  # the parent died before the kernel knew of the promise
    replies = _Replies(int(descriptor))
    requests = _private_stdin()
    configure_logging(json_lines=True)
    stage, params_class = _prepare(stage_name, runner, params, replies)
    for line in requests:
        request = json.loads(line)
        workdir = Path(request["workdir"])
        with _output_to(workdir / LOG):
            replies.send(_serve(stage, params_class, Task.model_validate(request["task"]), workdir, replies))


def _private_stdin() -> TextIO:
    """Keep stdin for ourselves: programs that a stage starts must not read our requests."""
    requests = os.fdopen(os.dup(0), "r")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return requests


def _prepare(name: str, runner: str, params: str, replies: _Replies) -> tuple[Stage[Any], type[StageParams]]:
    failures: list[dict[str, Any]] = []
    with _told(failures, Path()):
        stage_class: type[Stage[Any]] = load(runner)
        params_class: type[StageParams] = load(params)
        _configure_casa(name)
        stage_class.warm_up()
    if failures:
        replies.send(failures[0])
        sys.exit(1)
    replies.send({"ready": True})
    return stage_class(), params_class


@contextlib.contextmanager
def _told(failures: list[dict[str, Any]], workdir: Path) -> Iterator[None]:
    """Turn whatever is raised inside into an answer to the parent, with the traceback."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a stage raises: its class decides in the parent what happens next
        traceback.print_exc()
        failures.append(_failure(error, workdir) | {"log": traceback.format_exc()})


def _configure_casa(name: str) -> None:
    """Let CASA use the packaged tables, should the stage load it; stages without astronomy are left alone."""
    if "contimg.radio" not in sys.modules:
        return
    from contimg.radio.casa import casa_environment  # noqa: PLC0415 - only where the stage brought contimg.radio

    directory = Layout.from_environment().stage_base / ".cache" / "casa" / name
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(BadConfig):  # without casadata a stage that needs CASA says so itself
        os.environ.update(casa_environment(directory))


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


def _serve(
    stage: Stage[Any], params: type[StageParams], task: Task, workdir: Path, replies: _Replies
) -> dict[str, Any]:
    log = structlog.get_logger("contimg").bind(group=task.group, stage=task.stage, attempt=workdir.name)
    answers: list[dict[str, Any]] = []
    with _told(answers, workdir):
        context, sources = build_context(
            Layout.from_environment(), task, params, workdir, replies.report, log.bind(trace=task.trace)
        )
        crash.point("child.started")
        result = stage.run(context)
        crash.point("child.done")
        answers.append(_success(result, sources))
    return answers[0]


def _success(result: StageResult, sources: Sources) -> dict[str, Any]:
    answer = {
        "result": {
            "products": [asdict(product) for product in result.products],
            "figures": [figure.model_dump(mode="json") for figure in result.figures],
            "info": plain(result.info),
            "date": result.date,
        },
        "inputs": [item.model_dump(mode="json") for item in sources.inputs],
        "raw": list(sources.raw),
        "software": software_versions(),
    }
    json.dumps(answer)  # what cannot be told must fail here, where the reason is kept
    return answer


def _failure(error: Exception, workdir: Path) -> dict[str, Any]:
    """Return the error by its class; what nobody foresaw is marked as such."""
    words = " ".join(str(error).split())
    if isinstance(error, ContimgError):
        return {"error": type(error).__name__, "message": words, "foreseen": True}
    free = shutil.disk_usage(workdir if workdir.is_dir() else ".").free
    if (isinstance(error, OSError) and error.errno in _DISK_FULL) or free < MIB:
        message = f"the disk of {workdir} is full ({free} bytes are free): {words}"
        return {"error": "ResourceExhausted", "message": message, "foreseen": True}
    if isinstance(error, MemoryError):
        message = f"the stage ran out of memory ({words or 'allocation refused'})"
        return {"error": "ResourceExhausted", "message": message, "foreseen": True}
    return {"error": "Terminal", "message": f"{type(error).__name__}: {words}; the log says where", "foreseen": False}


def plain(value: Any) -> Any:
    """Return JSON values: numpy scalars and arrays as numbers and lists, numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def software_versions() -> dict[str, str]:
    """Return the versions of Python, the container image and of those packages that were loaded or hold data."""
    found = {"python": sys.version.split()[0], "image": os.environ.get("CONTIMG_IMAGE", "")}
    data = {"casadata", "astropy-iers-data"}
    for name in _SOFTWARE:
        module = name.removeprefix("python-").replace("-", "_")
        if module in sys.modules or (name in data and {"casatools", "astropy"} & sys.modules.keys()):
            with contextlib.suppress(metadata.PackageNotFoundError):
                found[name] = metadata.version(name)
    return {name: version for name, version in found.items() if version}


if __name__ == "__main__":
    main()
