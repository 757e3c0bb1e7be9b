"""Its raw files: a line ``TOYSCOPE``, a JSON header, the counts."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from contimg.errors import BadInput

MAGIC = b"TOYSCOPE\n"


def write(directory: Path, number: int, start: datetime, counts: list[int], source: str = "sky") -> Path:
    """Write one recording of a minute."""
    path = directory / f"counts-{number}.toy"
    header = {"number": number, "start": start.isoformat(), "seconds": 60, "source": source}
    path.write_bytes(MAGIC + json.dumps(header).encode() + b"\n" + json.dumps(counts).encode() + b"\n")
    return path


def header_of(path: Path) -> dict[str, Any]:
    """Return the header; only the first kilobytes are read."""
    with path.open("rb") as handle:
        if handle.readline(64) != MAGIC:
            raise BadInput(f"{path} does not begin with TOYSCOPE; remove it")
        try:
            found: dict[str, Any] = json.loads(handle.readline(4096))
            found["start"] = datetime.fromisoformat(found["start"])
            found["end"] = found["start"] + timedelta(seconds=found["seconds"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise BadInput(f"the header of {path} cannot be read ({error}); copy the file again") from error
    return found


def counts_of(path: Path) -> list[int]:
    """Return the counts."""
    return [int(value) for value in json.loads(path.read_bytes().splitlines()[2])]
