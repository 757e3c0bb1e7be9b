"""No function that only tests call: vulture reads the source without the tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [name for name in ("shared", "services", "operator") if (ROOT / name).is_dir()]
FRAMEWORKS = "@*validator*,@*serializer*,@*.command*,@*.callback*,@app.*,@event.*"
FOUND = re.compile(r"^(?P<file>\S+?):\d+: unused (?P<kind>function|method|class|property) '(?P<name>\w+)'")
ALLOWED: dict[str, str] = {
    "do_GET": "called by http.server",
}
"""What a library calls by its name, with the reason."""


def unused() -> list[str]:
    command = [sys.executable, "-m", "vulture", *SOURCES, "--min-confidence", "60", "--ignore-decorators", FRAMEWORKS]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    hits = [match for match in map(FOUND.match, lines) if match]
    return [f"{hit['file']}: {hit['kind']} {hit['name']}" for hit in hits if hit["name"] not in ALLOWED]


def test_every_function_is_called_by_the_product():
    assert unused() == []


def offered_in_vain() -> list[str]:
    """What modules list in ``__all__`` and no source refers to: vulture takes all of that as used."""
    named, offered = set(re.findall(r":(\w+)\"", (ROOT / "pyproject.toml").read_text())), []
    for path in (path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py"))):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            named |= {getattr(node, "id", None), getattr(node, "attr", None)}
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= set(re.findall(r"^[\w.]+:(\w+)$", node.value))  # "package.module:function" of a SPEC
        assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
        public = ast.literal_eval(assigned["__all__"]) if "__all__" in assigned else ()
        offered += [(path, node.name) for node in tree.body if getattr(node, "name", None) in public]
    return [f"{path.relative_to(ROOT)}: {name}" for path, name in offered if name not in {*named, *ALLOWED}]


def test_what_a_module_offers_is_used_by_the_product():
    assert offered_in_vain() == []


def test_a_function_nobody_calls_would_be_found(tmp_path):
    (tmp_path / "module.py").write_text("def forgotten():\n    return 1\n")
    command = [sys.executable, "-m", "vulture", str(tmp_path), "--min-confidence", "60"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert "unused function 'forgotten'" in said
