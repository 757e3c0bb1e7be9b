"""What bare files are to stage destripe when it is run by hand."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["recognise"]

_LEVEL2 = re.compile(r"Level2_comap-(\d{7,})-.*\.hd5")


def recognise(path: Path) -> tuple[str, str, str] | None:
    """Return data type, role and unit of a bare file; None: nothing that this stage reads."""
    found = _LEVEL2.fullmatch(path.name)
    return ("level2", "", found[1]) if found and path.is_file() else None
