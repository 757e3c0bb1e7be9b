"""Identity of tasks: sha256 over canonical JSON (RFC 8785) of the recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

__all__ = ["canonical", "digest", "task_id"]

SIGNIFICANT = 12
"""Digits a float keeps: two ways to compute the same number must give the same task."""


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        rounded = float(f"{value:.{SIGNIFICANT}g}")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value]


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of plain values; floats keep 12 significant digits."""
    return rfc8785.dumps(_plain(value))


def digest(value: Any) -> str:
    """Return the full sha256 (64 hex digits) of the canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def task_id(stage: str, recipe_version: int, unit: str, params: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    """Return the recipe digest that names a task.

    Parameters
    ----------
    stage, recipe_version, unit
        What is done to what.
    params
        Effective parameters; fields equal to their default must be left out by the caller.
    inputs
        Task ids by data type, raw digest, reference checksums and options; no paths, no times. Empty
        entries are left out, so that a new kind of input does not change old ids.
    """
    kept = {key: value for key, value in inputs.items() if value not in ({}, [], (), "", None)}
    recipe = {"stage": stage, "recipe_version": recipe_version, "unit": unit, "params": params, "inputs": kept}
    return digest(recipe)[:32]
