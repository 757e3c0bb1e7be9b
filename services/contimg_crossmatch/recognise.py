"""What bare files are to stage crossmatch when it is run by hand."""

from __future__ import annotations

from pathlib import Path

from contimg.radio.recognise import fits_map

__all__ = ["recognise"]

_ROLES = ("weight", "noise", "pb")


def recognise(path: Path) -> tuple[str, str, str] | None:
    """Return data type, role and unit of a bare file or directory; None: nothing that this stage reads."""
    found = fits_map(path, _ROLES, "")
    return ("mosaic", *found) if found else None
