"""Inputs of tasks that have too many of them for a message: ``state/inputs/<digest>.json`` (architecture.md, P2)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from contimg.errors import BadInput, Damaged
from contimg.keeper.records import read_text
from contimg.models.identity import digest as digest_of
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = ["load_inputs", "store_inputs"]


def store_inputs(layout: Layout, inputs: Mapping[str, Sequence[str]]) -> str:
    """Write inputs {home: [task]} and return their digest; the same inputs have the same one."""
    digest = digest_of(inputs)
    if not layout.inputs(digest).is_file():
        disk.write(layout.inputs(digest), json.dumps(inputs, sort_keys=True))
    return digest


def load_inputs(layout: Layout, digest: str) -> dict[str, list[str]]:
    """Return inputs that were stored.

    Raises
    ------
    BadInput
        If nobody stored them.
    Damaged
        If the file no longer matches its digest.
    """
    path = layout.inputs(digest)
    if not path.is_file():
        raise BadInput(f"inputs {digest} are not in {path.parent}; ask for the task again")
    try:
        found: dict[str, list[str]] = json.loads(read_text(path))
    except ValueError:
        found = {}
    if digest_of(found) != digest:
        raise Damaged(f"{path} does not match its name; remove it and ask for the task again")
    return found
