"""Whoever calls a function of arrays reads their shapes and units in its docstring, not in its body.

The rule: the docstring of every public function or method in ``contimg.radio`` and in the services whose annotations
hold an array says a shape (the word, or a tuple like ``(row, chan)``) and a unit: one in brackets (``[Jy]``), its name
(``metres``, ``radians``, …), or that there is none (``pure number``, ``dimensionless``, ``fraction``, ``index``,
``mask``, …).
A function that hands a dataclass of arrays on is not meant: the fields of the class say it.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARRAYS = re.compile(r"NDArray|ndarray|ArrayLike|\bFloats\b|\bArray\b|\bInts\b|\bCube\b")
SHAPE = re.compile(r"\bshapes?\b|\([A-Za-z0-9_. +*]+(, [A-Za-z0-9_. +*]+)+\)|\(\w+,\)", re.IGNORECASE)
UNIT = re.compile(
    r"\[[^\]]+\]|\b(metres|radians?|degrees|seconds|wavelengths|pixels|arcsec|sigma|counts|pure numbers?|dimensionless"
    r"|MJD|Jy|Hz|fractions?|mask|index|bool)\b|``unit``",
    re.IGNORECASE,
)


def functions():
    for top in (ROOT / "shared/contimg/radio", ROOT / "services"):
        for path in sorted(top.rglob("*.py")):
            yield from _public(path, ast.parse(path.read_text()))


def _public(path, tree, inside=""):
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(path, node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not _property(node):
            yield f"{path.relative_to(ROOT)}:{inside}{node.name}", node


def _property(node):
    """A property is a field: its one line is held to what other fields are."""
    return any("property" in ast.unparse(each) for each in node.decorator_list)


def _holds_arrays(node):
    every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    notes = [ast.unparse(each.annotation) for each in every if each.annotation]
    return any(ARRAYS.search(note) for note in [*notes, ast.unparse(node.returns) if node.returns else ""])


CASES = dict(functions())
NAMES = [name for name, node in CASES.items() if _holds_arrays(node)]


@pytest.mark.parametrize("name", NAMES)
def test_docstring_says_shapes_and_units(name):
    text = ast.get_docstring(CASES[name]) or ""
    assert SHAPE.search(text), f"{name} names no shape, like 'shape (R, C)'"
    assert UNIT.search(text), f"{name} names no unit, like '[Jy]' or 'pure number'"


def test_the_rule_finds_what_it_is_for():
    assert len(NAMES) > 60
    assert not SHAPE.search("Return the sum of two images.")
    assert not UNIT.search("Return the sum of two images, shape (N, N).")
    assert SHAPE.search("(row, chan) complex64")
    assert UNIT.search("peak, a pure number")
