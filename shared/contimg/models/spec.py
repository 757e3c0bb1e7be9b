"""How a stage declares itself without its science: scope, parameters, what it makes, where its decisions are."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any, Self, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator

from contimg.errors import BadConfig
from contimg.models.base import Model
from contimg.models.fact import OfferKey

__all__ = [
    "DataType",
    "Reference",
    "Scope",
    "StageInfo",
    "StageOptions",
    "StageParams",
    "StageSpec",
    "complete",
    "data_types",
    "effective",
    "installed",
    "load",
    "nearest",
    "one_of",
    "references",
    "spec_of",
    "specs",
    "watchers",
]

T = TypeVar("T")
Place = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")]
"""A relative path."""
Target = Annotated[str, Field(pattern=r"^([A-Za-z_][\w.]*:[A-Za-z_]\w*)?$")]
"""``package.module:name``, imported only where it is used; empty: none."""


class Scope(StrEnum):
    """For what a stage has one task."""

    WATCHER = "watcher"
    """None: it watches what arrives and writes records."""
    OBSERVATION = "observation"
    GROUP = "group"
    PARTITION = "partition"
    """One task for each key that the stage's ``decide`` names; unit ``<group>.<key>``."""


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


class StageInfo(Model):
    """Base of what a run says to later stages, the engine and reports: ``manifest.info``, at most 64 KB of JSON.

    Its fields are what others may rely on; a run may say more, for people.
    """

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    def offer(self) -> OfferKey | None:
        """Return what this run offers to other groups, if it does."""
        return None


class StageOptions(Model):
    """Base of what a group says to a stage beyond parameters, or what was decided for it; part of the recipe.

    Every field has a default: a stage that is run by hand gets them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DataType(Model):
    """A kind of product, declared by the stage that makes it; drives paths, publication and retention."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    home: Place
    """Below the stage base; ``products/…`` lies below ``CONTIMG_PRODUCTS_DIR``."""
    workspace: str = ""
    """Directory below ``workspace/active``; empty: the name of the type."""
    variable: Annotated[str, Field(pattern=r"^(CONTIMG_[A-Z0-9_]+)?$")] = ""
    """Environment variable that moves the home."""
    archive: str = ""
    """Directory below the archive's ``products``; empty: never published."""
    include: str = ""
    """Word of ``spec.publish.include`` that publishes it; empty: always, when it has an archive directory."""
    per_group: bool = False
    """Named after observations: groups that share some publish theirs as ``<date>/<group>/<file>``."""
    validated: bool = False
    """Also named below ``products/`` on staging, ready to publish."""
    retention_days: Annotated[int, Field(ge=0)] | None = None
    """How long an unwanted run is kept on staging; None: for ever."""
    stage: str = ""
    """The stage that makes it; filled in by its :class:`StageSpec`."""


class Reference(Model):
    """A kind of reference data; it enters recipes as ``<kind>:<name>`` with its sha256."""

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    directory: Place
    """Below the state directory."""
    variable: Annotated[str, Field(pattern=r"^(CONTIMG_[A-Z0-9_]+)?$")] = ""
    """Environment variable that moves the directory."""
    suffix: str = ""
    """Only files with this suffix, which is left out of the name."""
    by_date: bool = False
    """Only the file named after a date of the unit; else every file."""


class StageSpec(Model):
    """What engine, operator and command line know about a stage; loading it imports no science."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    scope: Scope
    recipe_version: int = 1
    """Raised when the meaning of the output or a default changes, never by a release."""
    params: type[StageParams]
    makes: tuple[DataType, ...] = ()
    """Data types; the runs lie in the home of the first."""
    runner: Target = ""
    """The Stage subclass, imported in the child only; of a watcher, what watches."""
    info: type[StageInfo] = StageInfo
    """What its runs say."""
    options: type[StageOptions] = StageOptions
    """What its tasks are told beyond parameters."""
    decide: Target = ""
    """Pure function ``Problem -> Answer | Block`` (``contimg.models.decide``) that chooses options and inputs."""
    wants: Target = ""
    """Pure function ``Problem -> tuple[OfferWindow, …]``: what ``decide`` must know of other groups."""
    effect: Target = ""
    """Function ``(Run, Task, Layout) -> list of payloads to register``, called in the parent after the commit."""
    recognise: Target = ""
    """Function ``Path -> (data type, role, unit) | None`` for bare files that are given to this stage by hand."""
    reference: tuple[Reference, ...] = ()
    """Reference data that enter its recipe."""
    judges: bool = False
    """Its verdict is that of what it was given (a report, not a measurement): a failed one does not fail the task."""
    optional: bool = False
    time_limit_s: Annotated[float, Field(gt=0, le=7 * 86400)] = 3600.0
    """Default limit of one attempt."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.scope is not Scope.WATCHER and not self.makes:
            msg = f"stage {self.name!r} makes no data type; declare at least one"
            raise ValueError(msg)
        if self.scope is Scope.PARTITION and not self.decide:
            msg = f"stage {self.name!r} has scope partition and no decide that names the keys"
            raise ValueError(msg)
        mine = tuple(item.model_copy(update={"stage": self.name}) for item in self.makes)
        object.__setattr__(self, "makes", mine)
        return self

    @property
    def home(self) -> str:
        """Data type under whose home the runs lie; empty for a watcher."""
        return self.makes[0].name if self.makes else ""

    @property
    def workspace(self) -> str:
        """Directory of the attempts below ``workspace/active``."""
        return (self.makes[0].workspace or self.makes[0].name) if self.makes else ""


@cache
def specs() -> dict[str, StageSpec]:
    """Return the installed stages by name, in the order of their names (entry points ``contimg.stages``).

    Raises
    ------
    BadConfig
        If two stages declare one data type or kind of reference data differently, or one name twice.
    """
    found: dict[str, StageSpec] = installed("contimg.stages", "stage")
    return found


def installed(group: str, kind: str) -> dict[str, Any]:
    """Return what the entry points of a group stand for, by name and in the order of the names.

    Raises
    ------
    BadConfig
        If one is not named as the thing itself is.
    """
    found = {}
    for point in entry_points(group=group):
        found[point.name] = loaded = point.load()
        if point.name != loaded.name:
            raise BadConfig(f"entry point {point.name!r} of {point.value} is {kind} {loaded.name!r}; name it so")
    return dict(sorted(found.items()))


def one_of(known: Mapping[str, T], name: str, kind: str) -> T:
    """Return the thing of a name; raise ``BadConfig`` with the nearest name if there is none."""
    if name in known:
        return known[name]
    names = ", ".join(known) or "none"
    raise BadConfig(f"{kind} {name!r} is not installed{nearest(name, known)}; installed are {names}")


def watchers() -> dict[str, StageSpec]:
    """Return the installed watchers."""
    return {name: spec for name, spec in specs().items() if spec.scope is Scope.WATCHER}


@cache
def data_types() -> dict[str, DataType]:
    """Return every data type of the installed stages by name.

    Raises
    ------
    BadConfig
        If two stages make one data type.
    """
    found: dict[str, DataType] = {}
    for spec in specs().values():
        for item in spec.makes:
            other = found.setdefault(item.name, item)
            if other is not item:
                raise BadConfig(f"data type {item.name!r} is made by stage {other.stage!r} and by {item.stage!r}")
    return found


@cache
def references() -> dict[str, Reference]:
    """Return every kind of reference data of the installed stages.

    Raises
    ------
    BadConfig
        If two stages describe one kind differently.
    """
    found: dict[str, Reference] = {}
    for spec in specs().values():
        for item in spec.reference:
            if found.setdefault(item.kind, item) != item:
                raise BadConfig(f"reference data {item.kind!r} is described in two ways; one of them by {spec.name!r}")
    return found


def spec_of(name: str) -> StageSpec:
    """Return the spec of a stage.

    Raises
    ------
    BadConfig
        If no such stage is installed; the nearest name is offered.
    """
    return one_of(specs(), name, "stage")


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
    return complete(spec.name, spec.params, given)


def complete(stage: str, params: type[StageParams], given: dict[str, Any]) -> dict[str, Any]:
    """Return the complete parameters of a class; see :func:`effective`.

    Raises
    ------
    BadConfig
        As :func:`effective`.
    """
    for key in given:
        if key not in params.model_fields:
            hint = nearest(key, params.model_fields)
            msg = f"stage {stage!r} has no parameter {key!r}{hint}"
            raise BadConfig(msg)
    try:
        return params.model_validate(given).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"stage {stage!r}, parameter {where!r} = {first['input']!r}: {first['msg']}"
        raise BadConfig(msg) from error


def load(path: str) -> Any:
    """Import ``package.module:name``."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
