"""The one exception tree. The class alone decides whether a task is tried again.

::

    ContimgError
    ├── Retryable             the same attempt may succeed later: back off and try again
    │   ├── ResourceExhausted     memory or disk ran out (says how many bytes)
    │   ├── WorkerLost            the process died under the attempt; not counted as a try
    │   └── Unavailable           a service (bus, S3, keeper) cannot be reached
    └── Terminal              trying again cannot help
        ├── UserError             a file, field or parameter that a person must mend
        │   ├── BadInput              raw data that cannot be read or contradicts itself
        │   └── BadConfig             YAML, parameters, environment
        ├── DataQuality           the science ran, its figures forbid using the result
        └── Damaged               a committed run or record no longer matches its manifest

Every message is one sentence that names the file, the field, the value and what to do. ``exit_code``
is what a command line ends with.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadConfig",
    "BadInput",
    "ContimgError",
    "Damaged",
    "DataQuality",
    "ResourceExhausted",
    "Retryable",
    "Terminal",
    "Unavailable",
    "UserError",
    "WorkerLost",
    "by_name",
]


class ContimgError(Exception):
    """Root of all errors that Contimg raises on purpose."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1


class Retryable(ContimgError):
    """The same attempt may succeed later."""

    retryable = True
    exit_code = 75  # EX_TEMPFAIL


class ResourceExhausted(Retryable):
    """Memory or disk ran out; the message says how many bytes."""


class WorkerLost(Retryable):
    """The process died under the attempt; not counted as a try."""


class Unavailable(Retryable):
    """A service (bus, S3, keeper) cannot be reached."""

    exit_code = 69  # EX_UNAVAILABLE


class Terminal(ContimgError):
    """Trying again cannot help."""


class UserError(Terminal):
    """A file, field or parameter that a person must mend."""

    exit_code = 2


class BadInput(UserError):
    """Raw data that cannot be read or contradicts itself; ``reason`` is the word its quarantine record carries."""

    exit_code = 65  # EX_DATAERR

    def __init__(self, message: str, *, reason: str = "unreadable") -> None:
        super().__init__(message)
        self.reason = reason


class BadConfig(UserError):
    """YAML, parameters or environment that are not valid."""

    exit_code = 78  # EX_CONFIG


class DataQuality(Terminal):
    """The science ran and its figures forbid using the result."""

    exit_code = 3


class Damaged(Terminal):
    """A committed run or a record no longer matches its manifest."""

    exit_code = 4


def _tree(root: type[ContimgError]) -> dict[str, type[ContimgError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


def by_name(name: str) -> type[ContimgError]:
    """Return the class that a failure record names; an unknown name is ``Terminal``.

    A record written by a newer release must not be retried for ever, hence ``Terminal``.
    """
    return _tree(ContimgError).get(name, Terminal)
