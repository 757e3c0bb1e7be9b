"""What is asked of a raw file before any library opens it, and the bounds its numbers must keep."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contimg.errors import BadInput

__all__ = ["FIRST_JD", "LAST_JD", "LONGEST_S", "SHORTEST_S", "bounded", "check_file"]

FIRST_JD, LAST_JD = 2433282.5, 2506331.5
"""1950 and 2150 [d]."""
SHORTEST_S, LONGEST_S = 1e-6, 3600.0
"""An integration lasts so long [s]."""


def check_file(path: Path) -> None:
    """Check that a file is one and has content.

    Raises
    ------
    BadInput
        If it is empty, or a directory, socket, device or FIFO.
    OSError
        If it cannot be opened: that is not the file's fault and may pass.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would wait for its writer for ever
    try:
        found = os.fstat(handle)
    finally:
        os.close(handle)
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(f"{path} is no regular file; remove it")
    if found.st_size == 0:
        raise BadInput(f"{path} has 0 bytes; copy it again", reason="empty")


def bounded(path: Path, name: str, values: ArrayLike, low: float, high: float, unit: str) -> NDArray[np.float64]:
    """Return an array whose every number is finite and within bounds.

    Parameters
    ----------
    path, name
        File and field, for the message.
    values
        Any shape, in ``unit``.
    low, high
        Bounds, both inclusive, in ``unit``.
    unit
        For the message.

    Returns
    -------
    ndarray
        Shape of ``values``.

    Raises
    ------
    BadInput
        With the first number that is not.
    """
    array = np.asarray(values, np.float64)
    wrong = ~((array >= low) & (array <= high))
    if wrong.any():
        value: Any = array[wrong].flat[0]
        text = f"{path}: {name} holds {value:.12g} {unit}, not {low:g} to {high:g}; write the file again"
        raise BadInput(text, reason="out-of-bounds")
    return array
