from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import contimg
from contimg import crash

CODE = "from contimg import crash\nfor n in range(3):\n    crash.point('here')\n    print(n, flush=True)"


@pytest.mark.parametrize(
    ("wanted", "printed", "status"), [("here", "", -9), ("here:3", "0\n1\n", -9), ("x", "0\n1\n2\n", 0)]
)
def test_the_process_ends_at_the_named_hit(monkeypatch, wanted, printed, status):
    monkeypatch.setenv("CONTIMG_CRASH", wanted)
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == (printed, status)


def test_without_the_variable_nothing_happens(monkeypatch):
    monkeypatch.delenv("CONTIMG_CRASH", raising=False)
    crash.point("here")


def test_there_are_forty_points_and_each_name_stands_once():
    root = Path(contimg.__file__).parent
    assert len(crash.points(root)) >= 40
    calls = [name for path in root.rglob("*.py") for name in crash._CALL.findall(path.read_text())]
    assert len(calls) == len(set(calls))
