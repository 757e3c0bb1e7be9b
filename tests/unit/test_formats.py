"""One reader per format: what opens measurement sets, HDF5 and UVFITS is imported in ``contimg.radio`` only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = [path for top in ("shared", "services") for path in sorted((ROOT / top).rglob("*.py"))]
ELSEWHERE = [path for path in OURS if not path.is_relative_to(ROOT / "shared/contimg/radio")]
READERS = {"casacore.tables", "casatools", "h5py", "pyuvdata", "fitsio"}
"""Not meant: ``casacore.images`` (CASA images of stage image), ``pyuvdata.utils`` (geometry)."""


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", ELSEWHERE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_reader_outside_radio(path):
    assert not READERS & set(imported(path))


def test_the_rule_finds_what_it_is_for():
    inside = {name for path in OURS if path not in ELSEWHERE for name in imported(path)}
    assert {"casacore.tables", "h5py", "pyuvdata"} <= inside


@pytest.mark.parametrize("path", sorted((ROOT / "shared/contimg/radio").rglob("*.py")), ids=lambda path: path.name)
def test_radio_imports_errors_and_models_only(path):
    ours = {name for name in imported(path) if name.split(".")[0].startswith("contimg")}
    allowed = ("contimg.radio", "contimg.errors", "contimg.models")
    assert all(name.startswith(allowed) for name in ours), ours
