"""``./run cluster test`` on a cluster that somebody else uses: what is there stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from apiserver import KUBE, ApiServer, needs_programs

pytestmark = [pytest.mark.integration, needs_programs]
ROOT = Path(__file__).parents[2]


def test_a_release_of_somebody_else_is_left_alone(tmp_path):
    with ApiServer(tmp_path / "api") as server:
        server.kubectl("create", "namespace", "contimg")
        given = {"KUBECONFIG": str(server.kubeconfig), "CLUSTER_VOLUMES": str(tmp_path), "CLUSTER_DATA": str(tmp_path)}
        env = {**os.environ, **given, "PATH": f"{KUBE}:{os.environ['PATH']}"}
        argv = [sys.executable, "-m", "pytest", "-q", "tests/cluster"]
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert "has a namespace contimg, which these tests would delete" in done.stdout
        assert done.returncode == 1
        assert "deletionTimestamp" not in server.kubectl("get", "namespace", "contimg", "-o", "json").stdout
