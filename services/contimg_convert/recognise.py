"""What bare files are to stage convert when it is run by hand."""

from __future__ import annotations

from pathlib import Path

__all__ = ["recognise"]

_RAW = {".hdf5", ".h5", ".uvh5", ".uvfits", ".fits"}


def recognise(path: Path) -> tuple[str, str, str] | None:
    """Return data type (empty: a raw file), role and unit of a bare file; None: nothing that this stage reads."""
    return ("", "", path.stem) if path.is_file() and path.suffix.lower() in _RAW else None
