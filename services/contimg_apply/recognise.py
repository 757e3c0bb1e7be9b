"""What bare files are to stage apply when it is run by hand."""

from __future__ import annotations

from pathlib import Path

from contimg.radio.recognise import calibration_table, measurement_set

__all__ = ["recognise"]


def recognise(path: Path) -> tuple[str, str, str] | None:
    """Return data type, role and unit of a bare file or directory; None: nothing that this stage reads."""
    if role := calibration_table(path):
        return "calibration_table", role, "tables"
    unit = measurement_set(path)
    return ("raw_ms", "", unit) if unit else None
