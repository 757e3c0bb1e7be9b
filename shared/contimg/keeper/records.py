"""JSON records on disk, read with a sentence when they are damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from contimg.errors import BadInput, Damaged
from contimg.limits import MIB
from contimg.volume import disk

__all__ = ["RECORD_BYTES", "mark_of", "parse", "read_record", "read_text", "stamp"]

M = TypeVar("M", bound=BaseModel)
RECORD_BYTES = 32 * MIB
"""No record of ours is larger; a larger file is none."""


def mark_of(found: os.stat_result) -> str:
    """Return size and modification time as one word."""
    return f"{found.st_size}-{found.st_mtime_ns}"


def stamp(path: Path | str) -> str:
    """Return size and modification time of a file as one word; empty if there is none."""
    try:
        return mark_of(os.stat(path))  # noqa: PTH116 - thousands of them
    except (FileNotFoundError, NotADirectoryError):
        return ""


def read_text(path: Path | str) -> str:
    """Read a file of JSON.

    Raises
    ------
    Damaged
        If it is missing, no regular file, too large or no text.
    """
    try:
        with disk.open_regular(path) as handle:
            content = handle.read(RECORD_BYTES + 1)
        if len(content) > RECORD_BYTES:
            raise Damaged(f"{path} is larger than {RECORD_BYTES} bytes and no record; move it away")
        return content.decode()
    except (OSError, BadInput, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no regular file of text"
        raise Damaged(f"{path} cannot be read ({reason}); restore it or move it away") from error


def parse(path: Path | str, text: str, model: type[M]) -> M:
    """Make a model of the text of a file.

    Raises
    ------
    Damaged
        If it does not fit the model; the first field that does not is named.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise Damaged(f"{path} is no {model.__name__}: {field}: {first['msg']}; restore it or move it away") from error


def read_record(path: Path, model: type[M]) -> M:
    """Read a JSON file into a model; raises as :func:`read_text` and :func:`parse`."""
    return parse(path, read_text(path), model)
