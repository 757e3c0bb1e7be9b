"""What the command line makes of the streams and the locale it is started with."""

from __future__ import annotations

import io
import os
import sys
from typing import NoReturn

__all__ = ["leave", "prepare"]

_STREAMS = (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))


def prepare() -> None:
    """Open streams that are closed, and start again in UTF-8 where the locale knows no such letters.

    A file that is opened later would else take the number of a closed stream, and get what is printed. Child
    processes inherit both.
    """
    for number, (name, flags) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            _open_nowhere(number, name, flags)
    if sys.getfilesystemencoding() != "utf-8" or (sys.stdout.encoding or "utf-8").lower() != "utf-8":
        _start_again_in_utf8()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8


def _open_nowhere(number: int, name: str, flags: int) -> None:
    handle = os.open(os.devnull, flags)
    if handle != number:
        os.dup2(handle, number, inheritable=True)
        os.close(handle)
    os.set_inheritable(number, True)
    setattr(sys, name, os.fdopen(number, "w" if flags == os.O_WRONLY else "r", closefd=False))


def _start_again_in_utf8() -> None:
    if os.environ.get("PYTHONUTF8") != "1":
        os.environ |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": ""}
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very command


def leave(code: int | str | None) -> NoReturn:
    """End; output that can no longer be written (a closed pipe, a full disk) is one sentence at most."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr.write(f"contimg: standard output: {error.strerror}\n")
        code = code or 1
    sys.exit(code)
