"""What bare files are to stage mosaic when it is run by hand."""

from __future__ import annotations

from pathlib import Path

from contimg.radio.recognise import fits_map

__all__ = ["recognise"]

_ROLES = ("pbcor", "residual", "model", "psf", "pb")


def recognise(path: Path) -> tuple[str, str, str] | None:
    """Return data type, role and unit of a bare file or directory; None: nothing that this stage reads."""
    if path.suffix == ".image" and path.is_dir():
        return "image", "", path.stem
    found = fits_map(path, _ROLES, "fits")
    return ("image", *found) if found else None
