from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sites import strays

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


WRITER = """
from pathlib import Path
from contimg.volume import disk
def first(): disk.write(Path("x"), "first")
def second(): disk.write(Path("x"), "second")
first(); second()
"""


@pytest.mark.parametrize(
    ("wanted", "text"),
    [("write.before@__main__.second", "first"), ("write.after@__main__.first", "first"), ("write.after:2", "second")],
)
def test_a_point_of_the_durable_writer_is_known_by_its_caller(tmp_path, wanted, text):
    environment = os.environ | {"CONTIMG_CRASH": wanted}
    ended = subprocess.run([sys.executable, "-c", WRITER], cwd=tmp_path, env=environment, check=False)
    assert (ended.returncode, (tmp_path / "x").read_text()) == (-9, text)


@pytest.mark.parametrize("package", ["shared/contimg", "services", "operator"])
def test_nobody_but_the_durable_writer_syncs_or_renames(package):
    root = Path(contimg.__file__).parents[2] / package
    files = [path for path in sorted(root.rglob("*.py")) if path.name != "disk.py"]
    assert [stray for path in files for stray in strays(path)] == []


def test_a_stray_is_found(tmp_path):
    """The test above would see each of these."""
    lines = ("os.fsync(1)", "os.replace(a, b)", "a.rename(b)", "p.replace(b)", "a.hardlink_to(b)", "shutil.move(a, b)")
    path = tmp_path / "x.py"
    path.write_text("\n".join((*lines, "text.replace('a', 'b')", "time.replace(tzinfo=u)", "disk.rename(a, b)")))
    assert len(strays(path)) == len(lines)
