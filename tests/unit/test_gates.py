"""Every figure with a limit is tried on both sides of it by the tests of its own stage."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from contimg.models.spec import specs

ROOT = Path(__file__).parents[2]
LIMITS = {"degraded_below", "degraded_above", "failed_below", "failed_above"}
REFUSED = {"group.dec_offset": "mixed declinations"}
"""A failed figure that ends the attempt: its test meets these words of the error, not the verdict."""


def gates() -> list[str]:
    """Names of all figures that the stages judge by a limit, as the source says."""
    found = set()
    for path in (ROOT / "services").glob("contimg_*/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "judge"):
                continue
            limited = any(word.arg in LIMITS or word.arg is None for word in node.keywords)
            name = node.args[0]
            if limited and isinstance(name, ast.Constant):
                found.add(name.value)
    return sorted(found)


def test_the_gates_are_found():
    assert {"convert.flagged", "solve.bandpass_age", "image.dynamic_range", "mosaic.members"} <= set(gates())
    assert len(gates()) >= 19


@pytest.mark.parametrize("name", gates())
def test_a_gate_is_met_by_its_owners_tests(name):
    """The figure's name stands within a few lines of a verdict that passes and of one that does not."""
    stage = name.partition(".")[0]
    word = REFUSED.get(name, name.partition(".")[2])
    package = specs()[stage].runner.partition(".")[0]
    text = "\n".join(path.read_text() for path in (ROOT / "tests/unit" / package).glob("test_*.py"))
    lines = text.splitlines()
    places = [n for n, line in enumerate(lines) if re.search(rf"\b{word}\b", line)]
    near = "\n".join("\n".join(lines[max(0, n - 14) : n + 12]) for n in places)
    bad = r"FAILED|DEGRADED|\"(failed|degraded)\"|raises\(BadInput"
    assert re.search(bad, near), f"no test of stage {stage} sees {name} beyond its limit"
    assert re.search(r"PASS|\"pass\"|check\(|== 0|value", near), (
        f"no test of stage {stage} sees {name} within its limit"
    )
