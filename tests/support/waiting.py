"""Wait for something outside this process, bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], limit_s: float = 20.0) -> T:
    """Look again and again until there is something, and return it; fail when the time is over."""
    end = time.monotonic() + limit_s
    while not (found := look()):
        assert time.monotonic() < end, f"nothing within {limit_s} s"
        time.sleep(0.02)
    return found
