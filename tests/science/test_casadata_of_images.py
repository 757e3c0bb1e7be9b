"""CASA works with the data that its image keeps: the command of the Dockerfile is run on a copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contimg.radio.casa import casadata_path

ROOT = Path(__file__).parents[2]
USES = ("tests/unit/contimg_solve/test_casa_backend.py", "tests/science/test_image.py::test_tclean_agrees")
MOST_MB = 25


def cut() -> str:
    """Return the command of the Dockerfile that removes what is not read."""
    joined = (ROOT / "Dockerfiles/casa.Dockerfile").read_text().replace("\\\n", " ")
    return re.search(r"&& (find .*)", joined)[1]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A directory with a package ``casadata`` as the image has it."""
    here = tmp_path_factory.mktemp("packages")
    shutil.copytree(casadata_path().parent, here / "casadata", copy_function=os.symlink)
    command = cut().replace("/opt/contimg/lib/python3.11/site-packages", str(here))
    subprocess.run(["sh", "-ec", command], check=True)
    return here


def test_what_is_kept_is_small_and_says_so(packages):
    kept = packages / "casadata/__data__"
    assert {path.name for path in kept.iterdir()} == {path.name for path in casadata_path().iterdir()}
    assert (casadata_path() / "ephemerides/splatalogue.db").exists(), "the package itself is untouched"
    assert sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()) < MOST_MB * 1e6


@pytest.mark.casa
@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
def test_stages_work_with_what_is_kept(use, packages):
    found = subprocess.run(
        [sys.executable, "-c", "from contimg.radio.casa import casadata_path; print(casadata_path())"],
        env=os.environ | {"PYTHONPATH": str(packages)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(packages / "casadata/__data__")
    words = [sys.executable, "-m", "pytest", "-q", "-n0", use]
    environment = os.environ | {"PYTHONPATH": str(packages)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
