"""How the operator's process starts and refuses; what it does then is told by the tests on a real API server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from commands import clean_environment


def started(tmp_path, **variables: str) -> tuple[int, dict[str, str]]:
    """Run the process to its end; return exit code and last line of its log."""
    environment = clean_environment(HOME=str(tmp_path), **variables)
    environment.pop("KUBERNETES_SERVICE_HOST", None)
    argv = [sys.executable, "-m", "contimg_operator"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    return done.returncode, json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"KUBECONFIG": "/nowhere"}, "there is no API server to log in to"),
        ({"CONTIMG_NAMESPACES": "a"}, "CONTIMG_NAMESPACES is unknown; did you mean 'CONTIMG_NAMESPACE'?"),
    ],
)
def test_what_waiting_cannot_mend_ends_it_with_the_code_of_the_class(tmp_path, variables, words):
    code, said = started(tmp_path, **variables)
    assert code == 78
    assert words in said["event"]
    assert said["service"] == "operator"
