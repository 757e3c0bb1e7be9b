"""Every command of the guides that needs pods, typed in the order of the page by somebody who installed the release."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster.release import ROOT, Release
from guides import blocks

Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def shell(release: Release, sky, tmp_path_factory) -> Shell:
    """A shell in a checkout with a kubeconfig of its own (the guide changes its namespace); recordings are there."""
    place = tmp_path_factory.mktemp("user")
    for name in ("charts", "docs"):
        (place / name).symlink_to(ROOT / name)
    (place / "sky").symlink_to(sky.directory)
    mine = place / "kubeconfig"
    shutil.copy(os.environ["KUBECONFIG"], mine)
    for files in sky.recordings[:4]:
        if not (release.volumes / "incoming" / files[-1].name).exists():
            release.drop(files)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "KUBECONFIG": str(mine), "HOME": str(place)}

    def run(text: str) -> subprocess.CompletedProcess[str]:
        argv = ["bash", "-exc", text]
        return subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True, timeout=1200, check=False)

    return run


@pytest.mark.parametrize("page", ["astronomers", "operators"])
def test_every_command_works(page: str, release: Release, shell: Shell) -> None:
    for text in blocks(page, "cluster"):
        done = shell(text)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{release.explain()}"
