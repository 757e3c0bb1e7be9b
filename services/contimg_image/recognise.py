"""What bare files are to stage image when it is run by hand."""

from __future__ import annotations

from pathlib import Path

from contimg.radio.recognise import measurement_set

__all__ = ["recognise"]


def recognise(path: Path) -> tuple[str, str, str] | None:
    """Return data type, role and unit of a bare file or directory; None: nothing that this stage reads."""
    unit = measurement_set(path)
    return ("calibrated_ms", "", unit) if unit else None
