"""``contimg replay``: another round of tries, with the user's comments kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner

from contimg.cli.main import app
from contimg.cli.replay import raise_replay
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.host.yamlfile import dumps, load_group
from contimg.volume.layout import Layout

TEXT = """\
# my group
kind: ObservationGroup
metadata: {name: g}
spec:   # the wish
  pipeline: dsa110-continuum    # the usual
  observations: {start: 2026-01-25T22:26:00Z, count: 3}
"""


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "g.yaml"
    made.write_text(TEXT)
    return made


def invoke(*words, **env):
    return CliRunner().invoke(app, ["replay", *map(str, words)], env=env)


def test_again_and_again(path):
    for expected in (1, 2, 3):
        done = invoke(path)
        assert done.exit_code == 0, done.output
        assert f"spec.replay is now {expected}; start it with: contimg run {path}" in done.output
        assert load_group(path)[0].spec.replay == expected
    assert [line for line in path.read_text().splitlines() if "replay" not in line] == TEXT.splitlines()


def test_by_the_name_of_a_group_that_was_run_here(path, tmp_path):
    ResourceStore(Layout(tmp_path / "s", tmp_path / "d")).put(load_group(path)[0], path)
    done = invoke("g", CONTIMG_DATA_BASE=str(tmp_path / "d"))
    assert done.exit_code == 0, done.output
    assert load_group(path)[0].spec.replay == 1


def test_an_unknown_name(tmp_path):
    done = invoke("gg", CONTIMG_DATA_BASE=str(tmp_path / "d"))
    assert isinstance(done.exception, BadConfig)
    assert "no group 'gg'" in str(done.exception)


def test_a_file_that_is_wrong_is_left_alone(path):
    path.write_text(TEXT.replace("pipeline:", "pipelin:"))
    before = path.read_text()
    assert isinstance(invoke(path).exception, BadConfig)
    assert path.read_text() == before


def test_a_spec_in_one_line_is_raised_too():
    text, raised = raise_replay("metadata: {name: g}\nspec: {pipeline: p, replay: 4}\n", "g")
    assert raised == 5
    assert text == "metadata: {name: g}\nspec: {pipeline: p, replay: 5}\n"


def test_of_several_documents_only_the_one_named_changes():
    text = "metadata: {name: a}\nspec:\n  pipeline: p\n---\nmetadata: {name: b}\nspec:\n  pipeline: p\n"
    changed, _ = raise_replay(text, "b")
    assert changed == text + "  replay: 1\n"
    with pytest.raises(BadConfig, match="no group 'c' stands in this file"):
        raise_replay(text, "c")


@given(current=st.integers(0, 10**6), comment=st.sampled_from(["", "  # why", " "]), rest=st.integers(0, 3))
def test_only_the_number_changes(current, comment, rest):
    before = {"pipeline": "p", "stages": {"image": {"size": 64}}} | {f"k{i}": i for i in range(rest)}
    text = "metadata: {name: g}\nspec:" + comment + "\n"
    text += "".join(f"  {line}\n" for line in dumps(before).splitlines())
    if current:
        text = text.replace("  pipeline", f"  replay: {current}{comment}\n  pipeline")
    changed, raised = raise_replay(text, "g")
    assert raised == current + 1
    assert YAML(typ="safe").load(changed) == {"metadata": {"name": "g"}, "spec": before | {"replay": current + 1}}
    assert ("# why" in changed) == ("# why" in text)
