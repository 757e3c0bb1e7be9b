"""No function that only tests call: vulture reads the source without the tests."""

from __future__ import annotations

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


def test_a_function_nobody_calls_would_be_found(tmp_path):
    (tmp_path / "module.py").write_text("def forgotten():\n    return 1\n")
    command = [sys.executable, "-m", "vulture", str(tmp_path), "--min-confidence", "60"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert "unused function 'forgotten'" in said
