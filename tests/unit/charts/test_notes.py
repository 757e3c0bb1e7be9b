"""What ``helm install`` says: the next three commands with real names, and what deserves a second look."""

from __future__ import annotations

import re

import pytest
from chart import helm
from chart_files import CHART

GOLDEN = """\
Contimg 0.1.0 is installed as release night in namespace tel, shard main.

1. Wait until everything is ready:
     kubectl -n tel wait --for=condition=Available deployment -l app.kubernetes.io/instance=night --timeout=10m
2. Try every service's credentials and volumes; nothing stays:
     helm test night -n tel
3. Ask for a mosaic and watch it being made:
     kubectl -n tel apply -f docs/samples/group.yaml && kubectl -n tel get og -w
"""


def notes(values="local", *settings):
    words = [f"--set={setting}" for setting in settings]
    files = ["-f", str(CHART / "ci" / f"{values}.yaml")]
    done = helm("install", "night", str(CHART), "-n", "tel", "--dry-run=client", *files, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:\n")[2]


def test_notes_name_the_next_three_commands():
    assert notes().strip() == GOLDEN.strip()


@pytest.mark.parametrize(
    ("values", "setting", "expected"),
    [
        ("tests", "shard=a", r"timeScale is 0.2: .*tests alone"),
        ("local", "crds.install=false", "must come from another release"),
        ("local", "volumes.state.accessModes={ReadWriteMany}", "which the keeper refuses because SQLite loses data"),
        ("tests", "shard=a", "products are published on the data volume alone"),
    ],
)
def test_what_deserves_a_second_look_is_said(values, setting, expected):
    assert re.search(expected, notes(values, setting))
