"""Streams that are closed, locales without UTF-8, names that are none: the command works all the same."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

CONTIMG = Path(sys.executable).parent / "contimg"
PLAIN = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(line, **env):
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env={**os.environ, **env})


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_nothing(closed):
    assert shell(f"{CONTIMG} schema {closed}").returncode == 0


GROUP = """\
kind: ObservationGroup
metadata: {name: g}
spec: {pipeline: dsa110-continuum, observations: {start: 2026-01-25T00:00:00Z, count: 1}}
"""


def test_a_run_comes_to_its_end_without_streams(tmp_path):
    """It waits for files that do not come, and keeps its status: exit code 75."""
    (tmp_path / "d" / "incoming").mkdir(parents=True)
    (tmp_path / "g.yaml").write_text(GROUP)
    words = f"run {tmp_path}/g.yaml --stage-base {tmp_path}/s --data-base {tmp_path}/d"
    assert shell(f"{CONTIMG} {words} <&- >&- 2>&-").returncode == 75
    assert "phase: Waiting" in (tmp_path / "g.status.yaml").read_text()


CHILD = "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.readlink(f'/proc/self/fd/{n}') for n in range(3)))"
PARENT = """
import subprocess, sys
from contimg.cli import surroundings
surroundings.prepare()
later = open(sys.argv[1], "w")
assert later.fileno() > 2
print("into nowhere")
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[3], sys.argv[2]]).returncode)
"""


def test_what_is_opened_later_does_not_become_a_stream_and_children_inherit_that(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    words = shlex.join([sys.executable, *(str(tmp_path / name) for name in ("parent.py", "later", "child")), CHILD])
    assert shell(f"{words} <&- >&- 2>&-").returncode == 0
    assert (tmp_path / "later").read_text() == ""
    assert (tmp_path / "child").read_text().split() == [os.devnull] * 3


@pytest.mark.parametrize("env", [{"LC_ALL": "POSIX"}, PLAIN], ids=["as Python takes it", "without UTF-8"])
def test_a_locale_without_utf_8_is_left(env, tmp_path):
    shown = shell(f"{CONTIMG} pipeline show dsa110-continuum", **env)
    assert shown.returncode == 0, shown.stderr
    assert "≥" in shown.stdout
    (tmp_path / "grüße.yaml").write_text("kind: [")
    refused = shell(f"{CONTIMG} why {tmp_path}/grüße.yaml", **env)
    assert "grüße.yaml:1: this is not valid YAML" in refused.stderr
    assert refused.returncode == 78


def test_a_name_that_is_no_utf_8_is_printed_escaped(tmp_path):
    done = shell(f"{CONTIMG} show $'\\xff'")
    assert done.returncode not in {0, 1}
    assert "\\xff" in done.stderr or "\\udcff" in done.stderr


def test_output_that_cannot_be_written_is_one_sentence():
    done = shell(f"{CONTIMG} schema >/dev/full")
    assert done.returncode == 1
    assert done.stderr == "contimg: No space left on device\n"


def test_a_reader_that_goes_away_is_no_error():
    done = shell(f"{CONTIMG} schema Manifest | head -c 10")
    assert done.stderr == ""
