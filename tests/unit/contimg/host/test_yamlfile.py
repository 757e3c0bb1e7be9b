"""What a user may write, and what they are told about each mistake: file, line, field, value and cure."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contimg.errors import BadConfig
from contimg.host.yamlfile import check_stages, dump, line_of, load_group, load_model
from contimg.models.group import ObservationGroup, Policy
from contimg.models.pipeline import Pipeline
from contimg.models.survey import Survey

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
    no_field = {"list", "missing-field", "missing-spec", "not-yaml", "tab-indent", "control-character", "itself"}
    inner = {"key-not-text", "python-tag"}  # the field is a part that the line shows otherwise
    if path.stem not in no_field | inner:
        assert any(word in lines[int(found[1]) - 1] for word in words), sentence


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_survives_being_written_again(path, tmp_path):
    group, chosen = load_group(path)
    assert chosen.name == group.spec.pipeline
    again = tmp_path / "again.yaml"
    again.write_text(dump(group))
    assert load_group(again)[0] == group


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
        (lambda _: None, "does not exist; name the YAML file"),
        (lambda path: path.mkdir(), "is a directory; name the YAML file"),
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
    path.write_text("name: p\ntitle: T\ntelescope: vla\nstages:\n  - {stage: convert, unit: all}\n")
    with pytest.raises(BadConfig, match=r":5: field 'stages.0.unit' is unknown"):
        load_model(path, Pipeline)
    path.write_text("kind: Survey\nmetadata: {name: s}\nspec: {}\n")
    with pytest.raises(BadConfig, match=r":3: field 'spec\.\w+' is missing"):
        load_model(path, Survey)


def test_two_parameters_that_only_clash_together_are_refused_at_their_stage(tmp_path):
    """A rule between fields of one stage belongs to no single line; the stage's line is named."""
    text = (DATA / "good" / "window.yaml").read_text()
    path = tmp_path / "clash.yaml"
    path.write_text(text + "  stages:\n    convert: {degraded_flagged: 0.9, failed_flagged: 1.5}\n")
    line = len(text.splitlines()) + 2
    with pytest.raises(BadConfig, match=rf"clash.yaml:{line}: stage 'convert', parameter 'failed_flagged' = 1.5"):
        load_group(path)


def test_stages_are_checked_against_the_pipeline_that_is_given(tmp_path):
    """A pipeline of one's own may leave stages out; parameters for these are a mistake, not ignored."""
    group, chosen = load_group(DATA / "good" / "count.yaml")
    shorter = chosen.model_copy(update={"stages": tuple(s for s in chosen.stages if s.stage != "crossmatch")})
    with pytest.raises(BadConfig, match="no stage 'crossmatch'"):
        check_stages(DATA / "good" / "count.yaml", group, shorter)


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
    text = yaml.safe_dump(tree, default_flow_style=False, sort_keys=False)
    path = data.draw(st.sampled_from([p for p in paths_in(tree) if p]))
    line = line_of(yaml.compose(text, Loader=yaml.SafeLoader), path)
    shown = text.splitlines()[line - 1]
    assert shown.strip().startswith(f"{path[-1]}:")
    assert (len(shown) - len(shown.lstrip())) == 2 * (len(path) - 1), "the same word elsewhere was not taken"


@given(tree=st.dictionaries(names, trees, min_size=1, max_size=4), data=st.data())
def test_a_field_that_is_missing_is_placed_at_its_parent(tree, data):
    text = yaml.safe_dump(tree, default_flow_style=False, sort_keys=False)
    path = data.draw(st.sampled_from([p for p in paths_in(tree) if p]))
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert line_of(node, (*path, "zz")) == line_of(node, path)


@given(text=st.text(max_size=60))
def test_any_text_is_a_group_or_one_sentence(text, tmp_path_factory):
    """Whatever stands in a file, the answer is an error of ours that begins with the file's name."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    with contextlib.suppress(UnicodeEncodeError):  # cannot be written at all
        path.write_text(text, encoding="utf-8")
    with pytest.raises(BadConfig) as caught:  # 60 characters are no group
        load_model(path, ObservationGroup)
    assert str(caught.value).startswith(str(path))
