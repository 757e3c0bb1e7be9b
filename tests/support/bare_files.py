"""Empty files and tables, to be recognised by their names."""

from __future__ import annotations

from pathlib import Path

__all__ = ["bare"]


def bare(directory: Path, name: str) -> Path:
    """Make what a name stands for; with a slash a measurement set or a table: a directory with its subtables."""
    path = directory / name
    if not name.endswith("/"):
        path.touch()
        return path
    for table in ("ANTENNA", "FIELD"):
        (path / table).mkdir(parents=True)
    return path
