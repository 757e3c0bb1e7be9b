"""How a stage declares itself without its science: name, scope, recipe version, parameters."""

from __future__ import annotations

import difflib
from enum import StrEnum
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from pydantic import ConfigDict, ValidationError

from contimg.errors import BadConfig
from contimg.models.base import Model

__all__ = ["Scope", "StageParams", "StageSpec", "effective", "load", "nearest", "spec_of", "specs"]


class Scope(StrEnum):
    """For what a stage has one task."""

    WATCHER = "watcher"
    OBSERVATION = "observation"
    GROUP = "group"
    PARTITION = "partition"


class StageParams(Model):
    """Base of a stage's parameters.

    Every field has a default, a docstring, and a unit in its name (``_arcsec``, ``_s``, ``_jy``) unless it is
    a pure number or a choice. ``enabled: false`` is understood by the engine for optional stages only.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,  # a recipe has no digest with such a number
    )


class StageSpec(Model):
    """What engine, operator and command line know about a stage; loading it imports no science."""

    name: str
    scope: Scope
    recipe_version: int
    """Raised when the meaning of the output or a default changes, never by a release."""
    params: type[StageParams]
    home: str
    """Data type under whose home the runs lie."""
    runner: str
    """``package.module:Class`` of the Stage subclass, imported in the child only."""
    workspace: str
    """Directory below ``workspace/active``."""
    optional: bool = False
    time_limit_s: float = 3600.0
    """Default limit of one attempt."""
    reference: tuple[str, ...] = ()
    """Kinds of reference data that enter the recipe: ``catalogs``, ``flags``."""


@cache
def specs() -> dict[str, StageSpec]:
    """Return the installed stages by name, in the order of their names (entry points ``contimg.stages``)."""
    found = {point.name: point.load() for point in entry_points(group="contimg.stages")}
    return dict(sorted(found.items()))


def spec_of(name: str) -> StageSpec:
    """Return the spec of a stage.

    Raises
    ------
    BadConfig
        If no such stage is installed; the nearest name is offered.
    """
    if name in specs():
        return specs()[name]
    msg = f"stage {name!r} is not installed{nearest(name, specs())}; installed are {', '.join(specs())}"
    raise BadConfig(msg)


def nearest(word: str, words: Any) -> str:
    """Return ``; did you mean 'x'?`` for the closest of the words, or nothing."""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def effective(spec: StageSpec, given: dict[str, Any]) -> dict[str, Any]:
    """Return the complete parameters of a stage as plain JSON values.

    Raises
    ------
    BadConfig
        If a parameter is unknown (the nearest name is offered) or has a wrong value.
    """
    for key in given:
        if key not in spec.params.model_fields:
            hint = nearest(key, spec.params.model_fields)
            msg = f"stage {spec.name!r} has no parameter {key!r}{hint}"
            raise BadConfig(msg)
    try:
        return spec.params.model_validate(given).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"stage {spec.name!r}, parameter {where!r} = {first['input']!r}: {first['msg']}"
        raise BadConfig(msg) from error


def load(path: str) -> Any:
    """Import ``package.module:name``."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
