"""JSON records on disk: written whole or not at all, read with a sentence when they are damaged."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from contimg.errors import Damaged, ResourceExhausted
from contimg.volume.disk import write_durable

__all__ = ["read_record", "stamp", "write_record"]

M = TypeVar("M", bound=BaseModel)


def stamp(path: Path) -> str:
    """Return size and modification time of a file as one word; empty if there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}"


def write_record(path: Path, content: str) -> None:
    """Write a file so that every reader, also after a crash, sees the old or the new content.

    Raises
    ------
    ResourceExhausted
        If the disk is full or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durable(path, content)
    except OSError as error:
        raise ResourceExhausted(
            f"{path} ({len(content)} bytes) cannot be written: {error.strerror}; free space or mend its permissions"
        ) from error


def read_record(path: Path, model: type[M]) -> M:
    """Read a JSON file into a model.

    Raises
    ------
    Damaged
        If it is missing, cannot be read or does not fit the model.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Damaged(
            f"{path} cannot be read ({error.strerror}); restore it, or move it away and scan again"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise Damaged(
            f"{path} is no {model.__name__}: {field}: {first['msg']}; restore it, or move it away and scan again"
        ) from error
