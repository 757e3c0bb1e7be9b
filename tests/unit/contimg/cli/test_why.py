"""``contimg why``: what a group waits for, by what is on record, in a few sentences; a question changes nothing."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contimg.cli.main import COMMANDS, app
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.host.yamlfile import load_group
from contimg.keeper.keeper import Keeper
from contimg.models.group import Condition, GroupStatus
from contimg.models.reason import Phase, Reason
from contimg.volume.layout import Layout

YAML = """\
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {name: tiny}
spec: {pipeline: dsa110-continuum, observations: {start: 2026-01-25T00:00:00Z, count: 1}}
"""
MOMENT = datetime(2026, 1, 25, 1, 0, tzinfo=UTC)
MESSAGE = "3 of 16 files of 2026-01-25T00:00:00 are missing"


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setenv("CONTIMG_STAGE_BASE", str(tmp_path / "s"))
    monkeypatch.setenv("CONTIMG_DATA_BASE", str(tmp_path / "d"))
    (tmp_path / "tiny.yaml").write_text(YAML)
    return Layout(tmp_path / "s", tmp_path / "d")


@pytest.fixture
def waiting(layout, tmp_path):
    """The group was run, and waited when the run ended."""
    path = tmp_path / "tiny.yaml"
    store = ResourceStore(layout)
    group = store.put(load_group(path)[0], path)
    common = {"observed_generation": 1, "last_transition_time": MOMENT}
    reason = Reason.WAITING_FOR_OBSERVATIONS
    said = {"Succeeded": "Unknown", "Progressing": "True", "Stalled": "False", "Degraded": "False"}
    conditions = tuple(Condition(type=t, status=s, reason=reason, message=MESSAGE, **common) for t, s in said.items())
    status = GroupStatus(observed_generation=1, phase=Phase.WAITING, message=MESSAGE, conditions=conditions)
    store.put_status(group, tmp_path / "tiny.status.yaml", status)
    with Keeper(layout) as keeper:
        keeper.scan()
    return path


def said(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, repr(done.exception)
    return done.output.strip()


def tree(root):
    """Everything that a change of any file would change."""
    found = {}
    for path in [root, *root.rglob("*")]:
        state = path.lstat()
        found[str(path)] = (state.st_mtime_ns, state.st_size, state.st_ino, path.is_file() and path.read_bytes())
    return found


@pytest.mark.parametrize("by", ["file", "name"])
def test_each_thing_is_said_once(by, waiting):
    text = said("why", waiting if by == "file" else "tiny")
    assert text.startswith("tiny is waiting: ")
    sentences = [sentence.strip() for sentence in text.split(". ")]
    assert len(set(sentences)) == len(sentences)
    assert text.endswith(f"Nobody runs it now; go on with: contimg run {waiting}")


def test_while_somebody_works_here_it_is_what_that_one_decided(waiting, layout):
    with Keeper(layout):
        text = said("why", "tiny")
        assert text.startswith(f"tiny is waiting: {MESSAGE}. ")
        assert text.count(MESSAGE) == 1
        assert "Nobody runs it" not in text
        waiting.write_text(YAML.replace("count: 1", "count: 2"))
        for asked in (waiting, "tiny"):
            assert f"The file was edited since; 'contimg run {waiting}' takes the edit up." in said("why", asked)


NEWS = {
    "removed": (None, "was removed, so nothing is asked for; write it again to go on with it."),
    "renamed": (YAML.replace("tiny", "small"), "was edited since and holds it no more, so nothing is asked for."),
    "broken": (YAML.replace("count: 1", "cnt: 1"), "was edited since and cannot be used: "),
    "edited": (YAML.replace("count: 1", "count: 2"), "The file was edited since; "),
}


@pytest.mark.parametrize(("text", "words"), NEWS.values(), ids=list(NEWS))
def test_what_became_of_the_file_of_a_group(text, words, waiting):
    if text is None:
        waiting.unlink()
    else:
        waiting.write_text(text)
    answer = said("why", "tiny")
    assert words in answer
    assert "Nobody runs it now" not in answer


def test_a_path_can_be_pasted_into_a_shell(layout, tmp_path):
    path = tmp_path / "my group's.yaml"
    path.write_text(YAML)
    command = said("why", path).partition("start it with: ")[2]
    assert shlex.split(command) == ["contimg", "run", str(path)]


def test_a_group_that_was_never_run(layout, tmp_path):
    text = said("why", tmp_path / "tiny.yaml")
    again = f"start it with: contimg run {tmp_path}/tiny.yaml"
    assert text.endswith(f"It was not run with state directory {layout.state} yet; {again}")
    assert not layout.data_base.exists()
    assert isinstance(CliRunner().invoke(app, ["why", "tinny"]).exception, BadConfig)


LOOKING = {
    "why": ["why", "tiny"],
    "why file": ["why", "{tmp}/tiny.yaml"],
    "get groups": ["get", "groups"],
    "get products": ["get", "products"],
    "get observations": ["get", "observations", "--json"],
    "show": ["show", "tiny"],
    "trace": ["trace", "{tmp}/tiny.yaml"],
    "log": ["log", "abcd"],
    "tonight": ["tonight"],
    "pipeline": ["pipeline", "list"],
    "schema": ["schema", "Manifest"],
}


@pytest.mark.parametrize("words", LOOKING.values(), ids=list(LOOKING))
def test_a_question_changes_no_file(words, waiting, tmp_path):
    before = tree(tmp_path)
    CliRunner().invoke(app, [word.replace("{tmp}", str(tmp_path)) for word in words])
    assert tree(tmp_path) == before


def test_every_command_that_looks_is_tried():
    changing = {"comap", "demo", "simulate", "run", "watch", "replay", "doctor", "stage", "verify"}
    assert {words[0] for words in LOOKING.values()} == set(COMMANDS) - changing


def test_what_cannot_be_written_can_be_asked(waiting, tmp_path):
    for path in [*tmp_path.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert "waiting" in said("why", "tiny")
        assert "tiny" in said("get", "groups")
    finally:
        for path in [tmp_path, *tmp_path.rglob("*")]:
            Path(path).chmod(0o755)
