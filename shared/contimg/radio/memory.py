"""Memory that starts as zeros while tables are written: casacore writes holes between arrays as it finds them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["zeroed"]

_PERTURB = -6
"""``M_PERTURB`` of glibc's mallopt: new memory is filled with the complement of this byte."""


@contextmanager
def zeroed() -> Iterator[None]:
    """Have the C library hand out zeros, so that files of tables do not depend on what the process did before.

    Only file bytes depend on it, never a column. A C library without ``mallopt`` changes nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(_PERTURB, 255)
    try:
        yield
    finally:
        mallopt(_PERTURB, 0)
