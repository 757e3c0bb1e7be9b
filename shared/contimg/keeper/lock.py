"""The lock of the keeper: one serves a state directory; a command that only looks asks whether one does."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from typing import IO

from contimg.errors import Unavailable
from contimg.volume.layout import Layout

__all__ = ["holder", "take_lock"]

TRIES = 5
PAUSE_S = 0.05
"""Between two tries to take the lock; a command that looks holds it for microseconds."""


def holder(layout: Layout) -> str:
    """Return who holds the keeper's lock, as written by itself; empty when nobody does."""
    path = layout.keeper_lock
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return ""
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        return path.read_text().strip() or "another process"


def _taken(handle: IO[str]) -> bool:
    """Take the lock; whoever looks whether it is held (:func:`holder`) has it for a moment, so ask more than once."""
    for tries_left in reversed(range(TRIES)):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if tries_left:
                time.sleep(PAUSE_S)
        else:
            return True
    return False


def take_lock(layout: Layout) -> IO[str]:
    """Take the keeper's lock and write who has it.

    Raises
    ------
    Unavailable
        If another process holds it.
    """
    path = layout.keeper_lock
    handle = path.open("a+")
    if not _taken(handle):
        handle.seek(0)
        who = handle.read().strip() or "another process"
        handle.close()
        raise Unavailable(
            f"{path} is held by {who}: one keeper serves a state directory; end that run first or wait for it"
        )
    handle.truncate(0)
    handle.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
    handle.flush()
    return handle
