"""What a user may write, and what they are told about each mistake: file, line, field, value and cure."""

from __future__ import annotations

import contextlib
import io
import os
import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from contimg.errors import BadConfig
from contimg.host.yamlfile import LARGEST, dumps, line_of, load_group, load_resources, load_values
from contimg.models.group import Policy

DATA = Path(__file__).parents[3] / "data" / "groups"
GOOD = sorted((DATA / "good").glob("*.yaml"))
BAD = sorted((DATA / "bad").glob("*.yaml"))


def test_there_are_pairs():
    assert len(GOOD) >= 4
    assert len(BAD) >= 30
    assert [path.stem for path in BAD] == sorted(path.stem for path in (DATA / "bad").glob("*.txt"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_mistake_is_told_in_exactly_these_words(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    with pytest.raises(BadConfig) as caught:
        load_group(Path(path.name))
    assert str(caught.value) == path.with_suffix(".txt").read_text().strip()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_the_line_that_is_named_holds_the_mistake(path):
    """The sentence names file and line; the field's last word, or its value, stands in that line."""
    sentence = path.with_suffix(".txt").read_text()
    found = re.match(rf"{re.escape(path.name)}:(\d+): ", sentence)
    if found is None:
        assert path.stem == "empty"
        return
    lines = path.read_text().splitlines()
    assert 1 <= int(found[1]) <= len(lines)
    quoted = re.findall(r"'([^']+)'", sentence)
    words = {word.rsplit(".", 1)[-1] for word in quoted} | set(quoted)
    no_field = {"list", "missing-field", "missing-spec", "not-yaml", "tab-indent", "control-character"}
    inner = {"key-not-text", "python-tag"}  # the field is a part that the line shows otherwise
    if path.stem not in no_field | inner | {"nested"}:
        assert any(word in lines[int(found[1]) - 1] for word in words), sentence


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_is_read_with_its_pipeline(path):
    group, chosen = load_group(path)
    assert chosen.name == group.spec.pipeline


def test_times_are_taken_as_utc():
    start = load_group(DATA / "good" / "count.yaml")[0].spec.observations.start
    assert start == datetime(2026, 1, 25, 21, 26, tzinfo=UTC), "the file says 22:26+01:00"
    bare = load_group(DATA / "good" / "bare-time-is-utc.yaml")[0].spec.observations.start
    assert bare == datetime(2026, 1, 25, 22, 26, tzinfo=UTC)


def test_fields_reach_the_model():
    group, _ = load_group(DATA / "good" / "count.yaml")
    assert group.name == "ten-tiles"
    assert group.spec.min_members == 8
    assert group.spec.publish.policy is Policy.ON_QA_PASS
    assert group.spec.publish.include == ("images", "caltables")
    assert group.spec.stages["image"] == {"cell_arcsec": 2.5, "robust": -0.5}


def test_the_first_group_among_several_documents_is_taken():
    assert load_group(DATA / "good" / "members.yaml")[0].name == "named"


def test_lines_count_through_documents(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text((DATA / "good" / "members.yaml").read_text().replace("suspend: true", "suspended: true"))
    line = path.read_text().splitlines().index("  suspended: true") + 1
    with pytest.raises(BadConfig, match=rf":{line}: field 'spec.suspended' is unknown; did you mean 'suspend'"):
        load_group(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: None, "does not exist; name a YAML file"),
        (lambda path: path.mkdir(), "is a directory; name a YAML file"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\xff\xfe"), "cannot be read as text"),
        (lambda path: path.symlink_to(path), "cannot be read as text"),
    ],
    ids=["missing", "directory", "binary", "symlink-loop"],
)
def test_a_file_that_cannot_be_read(make, words, tmp_path):
    path = tmp_path / "group.yaml"
    make(path)
    with pytest.raises(BadConfig, match=words) as caught:
        load_group(path)
    assert str(path) in str(caught.value)


def test_other_resources_are_read_by_the_same_words(tmp_path):
    path = tmp_path / "pipeline.yaml"
    head = "apiVersion: contimg.dsa110.org/v1alpha1\nkind: "
    stages = "  instrument: vla\n  stages:\n  - {stage: convert, unit: all}\n"
    path.write_text(f"{head}Pipeline\nmetadata: {{name: p}}\nspec:\n{stages}")
    with pytest.raises(BadConfig, match=r":7: field 'spec.stages.0.unit' is unknown"):
        load_resources(path)
    path.write_text(f"{head}Survey\nmetadata: {{name: s}}\nspec: {{}}\n")
    with pytest.raises(BadConfig, match=r":4: field 'spec\.\w+' is missing"):
        load_resources(path)


def test_two_parameters_that_only_clash_together_are_refused_at_their_stage(tmp_path):
    """A rule between fields of one stage belongs to no single line; the stage's line is named."""
    text = (DATA / "good" / "window.yaml").read_text()
    path = tmp_path / "clash.yaml"
    path.write_text(text + "  stages:\n    convert: {degraded_flagged: 0.9, failed_flagged: 1.5}\n")
    line = len(text.splitlines()) + 2
    with pytest.raises(BadConfig, match=rf"clash.yaml:{line}: stage 'convert', parameter 'failed_flagged' = 1.5"):
        load_group(path)


OWN = """\
kind: Pipeline
metadata: {name: short}
spec:
  instrument: dsa110
  stages:
    - {stage: convert}
    - {stage: image, reads: [convert]}
---
"""


def test_stages_are_checked_against_the_pipeline_of_the_same_file(tmp_path):
    """A pipeline of one's own may leave stages out; parameters for these are a mistake, not ignored."""
    text = (DATA / "good" / "count.yaml").read_text().replace("dsa110-continuum", "short")
    path = tmp_path / "own.yaml"
    path.write_text(OWN + text)
    with pytest.raises(BadConfig, match="pipeline 'short' has no stage 'crossmatch'"):
        load_group(path)
    path.write_text(OWN + (DATA / "good" / "window.yaml").read_text().replace("dsa110-continuum", "short"))
    assert [stage.stage for stage in load_group(path)[1].stages] == ["convert", "image"]


GROUP = """\
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {name: NAME}
spec: {pipeline: dsa110-continuum, observations: {start: 2026-01-25T22:26:00Z, count: 1}}
"""
SURVEY = """\
kind: Survey
metadata: {name: strip}
spec:
  pipeline: short
  template: {stages: {image: {robust: 0.0}}}
"""


def test_every_resource_of_a_file_with_the_line_where_it_begins(tmp_path):
    path = tmp_path / "all.yaml"
    foreign = "apiVersion: v1\nkind: Namespace\nmetadata: {name: contimg}\n---\n"
    path.write_text(
        OWN + foreign + SURVEY + "---\n" + GROUP.replace("NAME", "a") + "---\n" + GROUP.replace("NAME", "b")
    )
    found = load_resources(path)
    assert [(type(each.resource).__name__, each.resource.name) for each in found] == [
        ("Pipeline", "short"), ("Survey", "strip"), ("ObservationGroup", "a"), ("ObservationGroup", "b"),
    ]  # fmt: skip
    lines = path.read_text().splitlines()
    assert all(lines[each.line - 1].startswith(("kind:", "apiVersion: contimg")) for each in found)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GROUP * 2, "field 'apiVersion' stands twice"),
        (GROUP + "---\n" + GROUP, ":8: ObservationGroup 'name' stands twice in this file"),
        ("kind: Surveys\nmetadata: {name: s}\n", ":1: field 'kind' = 'Surveys' is unknown; did you mean 'Survey'"),
        ("apiVersion: v1\nkind: Namespace\n", "holds no resource of contimg.dsa110.org; it should hold one"),
        (OWN + SURVEY.replace("robust", "robst"), ":13: stage 'image' has no parameter 'robst'; did you mean 'robust'"),
        (SURVEY, ":4: pipeline 'short' is unknown"),
        (GROUP + "---\n- a\n", ":6: expected fields like 'kind:', found list"),
        ("kind: [a]\n", "field 'kind' = \\['a'\\]: Input should be 'ObservationGroup'"),
    ],
)
def test_a_mistake_among_several_documents(text, sentence, tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(text.replace("NAME", "name"))
    with pytest.raises(BadConfig, match=sentence):
        load_resources(path)


def test_what_an_api_server_adds_is_taken(tmp_path):
    """``kubectl get og NAME -o yaml`` is a file that ``contimg run`` reads."""
    path = tmp_path / "from-server.yaml"
    added = (
        "metadata:\n  name: x\n  uid: 7b1f\n  resourceVersion: '81'\n  generation: 3\n  labels: {a: b}\n"
        "  creationTimestamp: '2026-01-25T22:26:00Z'\n  annotations: {c: d}\n"
        "  managedFields:\n  - {manager: kubectl, operation: Apply}\n"
    )
    status = "status: {observedGeneration: 3, phase: Running, message: one of two}\n"
    path.write_text(GROUP.replace("metadata: {name: NAME}\n", added) + status)
    (found,) = load_resources(path)
    assert found.resource.name == "x"
    assert found.resource.status.message == "one of two"


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


@pytest.mark.parametrize("make", [os.mkfifo, make_socket, lambda path: path.symlink_to("/dev/zero")],
                         ids=["fifo", "socket", "device"])  # fmt: skip
def test_what_is_no_regular_file_is_never_waited_for(make, tmp_path):
    path = tmp_path / "group.yaml"
    make(path)
    with pytest.raises(BadConfig, match="is no regular file; name a YAML file"):
        load_group(path)


def test_a_huge_file_is_refused_by_its_size(tmp_path):
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"# " + bytes(LARGEST).replace(b"\0", b"x"))
    with pytest.raises(BadConfig, match=f"is larger than {LARGEST} bytes"):
        load_group(path)


def test_what_grows_without_bound_is_refused_within_a_second(tmp_path):
    """Before anything is built: 300 000 brackets, and aliases that would expand to 10^9 values."""
    path = tmp_path / "deep.yaml"
    begun = time.process_time()
    for text in (
        "a: " + "[" * 300_000,
        "".join(f"k{i}: &a{i} [{f'*a{i - 1},' * 9 if i else ''}]\n" for i in range(30)),
    ):
        path.write_text(text)
        with pytest.raises(BadConfig, match="this is not valid YAML"):
            load_group(path)
    assert time.process_time() - begun < 1


def test_the_largest_group_is_read_in_seconds(tmp_path):
    path = tmp_path / "large.yaml"
    names = "".join(f"    - id-{number:05d}\n" for number in range(5000))
    head = GROUP.replace("NAME", "large").split("spec:")[0]
    path.write_text(f"{head}spec:\n  pipeline: dsa110-continuum\n  observations:\n   members:\n{names}")
    assert len(load_group(path)[0].spec.observations.members) == 5000


def test_settings_are_read_by_the_same_rules(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("seed: 1\n3: x\n")
    assert load_values(path) == {"seed": 1, "3": "x"}
    path.write_text("seed: &a 1\n")
    with pytest.raises(BadConfig, match=r"settings\.yaml:1: this is not valid YAML: anchor"):
        load_values(path)


@given(tree=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9),
                         lambda inner: st.lists(inner, max_size=3), max_leaves=9))  # fmt: skip
def test_what_is_written_is_read_again(tree, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "again.yaml"
    with contextlib.suppress(UnicodeEncodeError):
        path.write_text(dumps({"b": tree, "a": 1}), encoding="utf-8")
        assert list(load_values(path).items()) == [("b", tree), ("a", 1)]


def dumped(tree):
    stream = io.StringIO()
    writer = YAML()
    writer.dump(tree, stream)
    return stream.getvalue()


def composed(text):
    return YAML(typ="safe", pure=True).compose(text)


names = st.text("abcdefgh", min_size=1, max_size=4)
trees = st.recursive(
    st.integers(0, 9), lambda inner: st.dictionaries(names, inner, min_size=1, max_size=4), max_leaves=12
)


def paths_in(tree, before=()):
    """Every path of keys in a tree of mappings."""
    if not isinstance(tree, dict):
        return [before]
    return [before, *(path for key, value in tree.items() for path in paths_in(value, (*before, key)))]


@given(tree=st.dictionaries(names, trees, min_size=1, max_size=4), data=st.data())
def test_every_field_is_found_in_the_line_where_it_stands(tree, data):
    text = dumped(tree)
    path = data.draw(st.sampled_from([p for p in paths_in(tree) if p]))
    line = line_of(composed(text), path)
    shown = text.splitlines()[line - 1]
    assert shown.strip().startswith(f"{path[-1]}:")
    assert (len(shown) - len(shown.lstrip())) == 2 * (len(path) - 1), "the same word elsewhere was not taken"


@given(tree=st.dictionaries(names, trees, min_size=1, max_size=4), data=st.data())
def test_a_field_that_is_missing_is_placed_at_its_parent(tree, data):
    text = dumped(tree)
    path = data.draw(st.sampled_from([p for p in paths_in(tree) if p]))
    node = composed(text)
    assert line_of(node, (*path, "zz")) == line_of(node, path)


@given(text=st.text(max_size=60))
def test_any_text_is_a_group_or_one_sentence(text, tmp_path_factory):
    """Whatever stands in a file, the answer is an error of ours that begins with the file's name."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    with contextlib.suppress(UnicodeEncodeError):  # cannot be written at all
        path.write_text(text, encoding="utf-8")
    with pytest.raises(BadConfig) as caught:  # 60 characters are no group
        load_group(path)
    assert str(caught.value).startswith(str(path))
