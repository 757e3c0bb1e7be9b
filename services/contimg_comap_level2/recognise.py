"""What bare files are to stage level2 when it is run by hand."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["recognise"]

_LEVEL1 = re.compile(r"comap-(\d{7,})-\d{4}-\d{2}-\d{2}-\d{6}\.hd5")


def recognise(path: Path) -> tuple[str, str, str] | None:
    """Return a raw file of the obsid in its name; None: nothing that this stage reads."""
    found = _LEVEL1.fullmatch(path.name)
    return ("", "", found[1]) if found and path.is_file() else None
