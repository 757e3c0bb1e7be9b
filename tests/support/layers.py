"""What each layer of the images installs: the extras of pyproject.toml as exact pins, layer above layer.

``python tests/support/layers.py`` writes ``Dockerfiles/{core,science,casa}.txt``; a test finds drift.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["CASA", "CORE", "LAYERS", "SCIENCE", "closure", "extras_of", "listing", "written"]

ROOT = Path(__file__).parents[2]
CORE, SCIENCE, CASA = "core", "science", "casa"
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_HEAD = "# What layer {layer} installs, every dependency exactly; written by python tests/support/layers.py.\n"

LAYERS = {
    CORE: ("operator", "keeper"),
    SCIENCE: ("ingest", "convert", "group", "apply", "mosaic", "crossmatch", "publish"),
    CASA: ("solve", "image"),
}
"""Services whose image stands on a layer, lowest layer first."""


def extras_of(service: str) -> frozenset[str]:
    """Return the extras that a service's image must hold; the empty name stands for the bare distribution."""
    extras = _PROJECT["optional-dependencies"]
    return frozenset({"", service} if service in extras else {""})


def _direct(extra: str) -> list[Requirement]:
    lines = _PROJECT["optional-dependencies"][extra] if extra else _PROJECT["dependencies"]
    return [Requirement(line) for line in lines]


def closure(extras: Iterable[str], without: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return all distributions that extras of this project need, as installed here.

    Parameters
    ----------
    extras
        Names of extras; the empty name stands for the bare distribution.
    without
        Extras of this project that are not followed.
    """
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [one for extra in extras for one in _direct(extra)]
    while waiting:
        one = waiting.pop()
        wish = canonicalize_name(one.name), frozenset(one.extras)
        if wish[0] == _PROJECT["name"]:
            waiting += [inner for extra in one.extras - without for inner in _direct(extra)]
        elif wish not in found:
            found.add(wish)
            needed = [Requirement(line) for line in requires(wish[0]) or ()]
            waiting += [each for each in needed if _applies(each, one.extras)]
    return frozenset(name for name, _ in found)


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def listing() -> dict[str, tuple[str, ...]]:
    """Return per layer the distributions it adds to those below it.

    Science holds what all stages need but CASA, so that the layer above is CASA and nothing else.
    """
    stages = [extra for service in (*LAYERS[SCIENCE], *LAYERS[CASA]) for extra in extras_of(service)]
    core = closure({extra for service in LAYERS[CORE] for extra in extras_of(service)})
    science = closure(stages, without=frozenset({CASA})) - core
    casa = closure([CASA]) - core - science
    return {CORE: tuple(sorted(core)), SCIENCE: tuple(sorted(science)), CASA: tuple(sorted(casa))}


def written() -> dict[Path, str]:
    """Return the files of requirements as they must be."""
    files = {}
    for layer, names in listing().items():
        lines = [f"{name}=={version(name)}\n" for name in names]
        files[ROOT / f"Dockerfiles/{layer}.txt"] = _HEAD.format(layer=layer) + "".join(lines)
    return files


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text)
