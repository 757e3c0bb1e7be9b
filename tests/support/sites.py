"""Where the sources call the durable writer, found by reading them: each call is a place to be killed at."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

__all__ = ["points", "strays"]

PRIMITIVES = {
    "write": ("write.before", "write.after"),
    "create": ("create.before", "create.after"),
    "rename": ("rename.before", "rename.after"),
    "set_aside": ("rename.before", "rename.after"),
    "move": ("move.before", "move.after"),
    "link": ("link.before", "link.after"),
    "sync": ("sync.after",),
    "seal": ("seal.after",),
    "remove": ("remove.after",),
}
MOVES = {("shutil", "move"), ("os", "replace")}
DURABLE = {"fsync", "fdatasync", "rename", "renames", "link", "hardlink_to"}
"""What only the durable writer may call, of a path or of module ``os``; ``replace`` too, unless it is of a text."""


def _functions(tree: ast.AST, name: str = "<module>") -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with the name of the function it stands in."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else name
        if isinstance(node, ast.Call):
            yield inside, node
        yield from _functions(node, inside)


def _attribute(call: ast.Call) -> tuple[str, str]:
    """Return the name before the dot, if it is one, and the one after it."""
    if not isinstance(call.func, ast.Attribute):
        return "", ""
    owner = call.func.value
    return owner.id if isinstance(owner, ast.Name) else "", call.func.attr


def points(path: Path) -> list[str]:
    """Return the points of all calls in a file, e.g. ``write.after@commit.commit``; a second call is ``…:2``."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    for function, call in _functions(ast.parse(path.read_text())):
        owner, name = _attribute(call)
        if owner == "disk":
            for point in PRIMITIVES.get(name, ()):
                site = f"{point}@{path.stem}.{function}"
                seen[site] += 1
                found.append(site if seen[site] == 1 else f"{site}:{seen[site]}")
        if (owner, name) == ("crash", "point") and isinstance(call.args[0], ast.Constant):
            found.append(call.args[0].value)
    return found


def strays(path: Path) -> list[str]:
    """Return the calls in a file that the durable writer alone may make."""
    found = []
    for function, call in _functions(ast.parse(path.read_text())):
        owner, name = _attribute(call)
        of_path = name == "replace" and len(call.args) == 1 and not call.keywords and owner != "dataclasses"
        if owner != "disk" and (name in DURABLE or of_path or (owner, name) in MOVES):
            found.append(f"{path.name}:{call.lineno} {function}: {owner}.{name}")
    return found
