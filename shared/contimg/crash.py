"""Named places at which a test can kill the process, to prove that every step may be the last one.

``CONTIMG_CRASH=<name>`` ends the process by SIGKILL the first time it passes that point, ``<name>:<n>`` the
n-th time. A point of the durable writer is also known by who called it: ``write.after@commit.commit``. Without the
variable a point costs one dictionary look-up. Children inherit the variable.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter

__all__ = ["point"]

_VARIABLE = "CONTIMG_CRASH"
_BELOW = {__name__, "contimg.volume.disk", "contextlib"}
"""Modules that are never the caller."""
_hits: Counter[str] = Counter()


def point(name: str) -> None:
    """End this process without warning if the environment asks for it here."""
    wanted = os.environ.get(_VARIABLE)
    if not wanted:
        return
    target, _, count = wanted.partition(":")
    if target not in {name, f"{name}@{_caller()}"}:
        return
    _hits[target] += 1
    if _hits[target] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)


def _caller() -> str:
    """Return ``module.function`` of the place that called the durable writer."""
    frame = sys._getframe()  # noqa: SLF001 - the documented way to the stack
    while frame.f_back is not None and frame.f_globals["__name__"] in _BELOW:
        frame = frame.f_back
    return f"{frame.f_globals['__name__'].rpartition('.')[2]}.{frame.f_code.co_name}"
