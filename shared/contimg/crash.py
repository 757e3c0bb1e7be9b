"""Named places at which a test can kill the process, to prove that every step may be the last one.

``CONTIMG_CRASH=<name>`` ends the process by SIGKILL the first time it passes that point, ``<name>:<n>`` the
n-th time. Without the variable a point costs one dictionary look-up. Children inherit the variable.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from pathlib import Path

__all__ = ["point", "points"]

_VARIABLE = "CONTIMG_CRASH"
_CALL = re.compile(r"""\bcrash\.point\(\s*["']([a-z0-9_.-]+)["']\s*\)""")
_hits: Counter[str] = Counter()


def point(name: str) -> None:
    """End this process without warning if the environment asks for it here."""
    wanted = os.environ.get(_VARIABLE)
    if not wanted:
        return
    target, _, count = wanted.partition(":")
    if target != name:
        return
    _hits[name] += 1
    if _hits[name] == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)


def points(root: Path) -> dict[str, Path]:
    """Return every point named in the Python files below ``root``, with its file.

    The source is the registry: a call ``crash.point("name")`` with a literal name makes a point.
    """
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*.py")):
        found |= dict.fromkeys(_CALL.findall(path.read_text()), path)
    return found
