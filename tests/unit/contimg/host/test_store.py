"""Resources and status files: what the API server keeps on a cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.models.group import Condition, GroupStatus, ObservationGroup
from contimg.models.reason import Phase
from contimg.models.survey import Survey, SurveyStatus
from contimg.volume.layout import Layout

NOW = datetime(2026, 1, 25, 23, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    return ResourceStore(Layout(tmp_path / "stage", tmp_path / "data"))


def group(name="g1", count=3, **spec):
    observations = {"start": "2026-01-25T22:26:00Z", "count": count}
    return ObservationGroup.model_validate(
        {"metadata": {"name": name}, "spec": {"pipeline": "dsa110-continuum", "observations": observations, **spec}}
    )


def status(phase="Running", message=""):
    condition = Condition(
        type="Progressing", status="True", reason="Running", message=message, observed_generation=1,
        last_transition_time=NOW,
    )  # fmt: skip
    return GroupStatus(observed_generation=1, phase=phase, message=message, conditions=(condition,))


def beside(source):
    return source.with_name(f"{source.stem}.status.yaml")


def test_a_kept_group_comes_back_with_where_it_came_from(store, tmp_path):
    source = tmp_path / "g1.yaml"
    kept = store.put(group(), source)
    assert store.get("g1") == (kept, source)
    assert store.source("g1") == source
    assert store.names() == ["g1"]


def test_a_relative_source_is_found_from_anywhere(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    store.put(group(), Path("sub/../g1.yaml"))
    assert store.source("g1") == tmp_path / "g1.yaml"


def test_the_generation_rises_with_the_spec_and_only_then(store, tmp_path):
    source = tmp_path / "g1.yaml"
    generations = [
        store.put(item, source).metadata.generation
        for item in (group(), group(), group(count=4), group(count=4), group(count=4, suspend=True), group(count=3))
    ]
    assert generations == [1, 1, 2, 2, 3, 4]


def test_a_generation_in_the_users_file_says_nothing(store, tmp_path):
    given = group().model_copy(update={"metadata": group().metadata.model_copy(update={"generation": 40})})
    assert store.put(given, tmp_path / "g1.yaml").metadata.generation == 1


def test_groups_do_not_disturb_each_other(store, tmp_path):
    for name in ("b", "a"):
        store.put(group(name), tmp_path / f"{name}.yaml")
    store.put_status(group("a"), beside(tmp_path / "a.yaml"), status("Published"))
    assert store.names() == ["a", "b"]
    assert store.status("a").phase == "Published"
    assert store.status("b") is None


def test_an_unknown_group_offers_the_nearest(store, tmp_path):
    with pytest.raises(
        BadConfig, match=r"no group 'ngc5921' was run with state directory .*/state; 0 groups are known"
    ):
        store.get("ngc5921")
    store.put(group("ngc5921"), tmp_path / "n.yaml")
    with pytest.raises(BadConfig, match="did you mean 'ngc5921'"):
        store.get("ngc5912")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"source": "x"}', '{"source": "x", "resource": {"kind": "Survey"}}', '{"resource": 3}'],
)
def test_a_damaged_record_says_how_it_is_mended(store, tmp_path, text):
    store.put(group(), tmp_path / "g1.yaml")
    (store.directory / "g1.json").write_text(text)
    with pytest.raises(BadConfig, match=r"g1\.json is damaged \(\w+\); start 'contimg run' with its YAML again"):
        store.get("g1")


def test_starting_a_group_again_mends_its_damaged_record(store, tmp_path):
    store.put(group(), tmp_path / "g1.yaml")
    (store.directory / "g1.json").write_text("{")
    store.put(group(), tmp_path / "g1.yaml")
    assert store.get("g1")[0].spec == group().spec
    store.put_status(group(), beside(tmp_path / "g1.yaml"), status().model_copy(update={"observed_generation": 6}))
    (store.directory / "g1.json").write_text("{")
    assert store.put(group(), tmp_path / "g1.yaml").metadata.generation == 7, "conditions must not seem to be of today"


def test_the_status_stands_beside_the_users_file_too(store, tmp_path):
    source = tmp_path / "g1.yaml"
    store.put_status(group(), beside(source), status(message="convert: 3 of 3 µJy"))
    shown = YAML(typ="safe").load((tmp_path / "g1.status.yaml").read_text())["status"]
    assert shown["phase"] == "Running"
    assert shown["message"] == "convert: 3 of 3 µJy"
    assert shown["conditions"][0]["observedGeneration"] == 1
    assert GroupStatus.model_validate(shown) == store.status("g1")


@pytest.mark.parametrize("block", ["missing directory", "directory in the way", "proc"])
def test_a_place_that_cannot_be_written_costs_only_the_copy(store, tmp_path, block):
    source = tmp_path / "g1.yaml"
    if block == "missing directory":
        source = tmp_path / "nowhere" / "g1.yaml"
    elif block == "proc":
        source = Path("/proc/g1.yaml")
    else:
        (tmp_path / "g1.status.yaml").mkdir()
    store.put_status(group(), beside(source), status("Published"))
    assert store.status("g1").phase == "Published"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"phase": 3}', '{"phase": "Running", "new": 1}'])
def test_a_status_that_cannot_be_read_counts_as_none(store, text):
    store.directory.mkdir(parents=True)
    (store.directory / "g1.status.json").write_text(text)
    assert store.status("g1") is None


def test_the_record_is_the_resource_as_kubernetes_spells_it(store, tmp_path):
    store.put(group(minMembers=2), tmp_path / "g1.yaml")
    record = json.loads((store.directory / "g1.json").read_text())
    assert record["resource"]["spec"]["minMembers"] == 2
    assert record["resource"]["apiVersion"] == "contimg.dsa110.org/v1alpha1"


# -- surveys -------------------------------------------------------------------------------------------------------


def survey(name="night", size=10):
    spec = {"pipeline": "dsa110-continuum", "groups": {"size": size}}
    return Survey.model_validate({"metadata": {"name": name}, "spec": spec})


def survey_status(phase=Phase.RUNNING, generation=1):
    return SurveyStatus(observed_generation=generation, phase=phase, message="2 groups")


def test_a_survey_and_a_group_of_one_name_are_two_things(store, tmp_path):
    store.put(group("night"), tmp_path / "g.yaml")
    store.put(survey("night"), tmp_path / "s.yaml")
    store.put_status(survey("night"), tmp_path / "s.status.yaml", survey_status(Phase.SUSPENDED))
    assert (store.names(), store.surveys()) == (["night"], ["night"])
    assert store.status("night") is None
    assert store.survey_status("night") == survey_status(Phase.SUSPENDED)
    assert store.source("night") == tmp_path / "g.yaml"


def test_the_generation_of_a_survey_rises_with_its_spec(store, tmp_path):
    source = tmp_path / "s.yaml"
    generations = [store.put(survey(size=size), source).metadata.generation for size in (10, 10, 8, 10)]
    assert generations == [1, 1, 2, 3]


def test_a_damaged_record_of_a_survey_counts_as_a_change(store, tmp_path):
    source = tmp_path / "s.yaml"
    store.put(survey(), source)
    store.put_status(survey(), tmp_path / "s.status.yaml", survey_status(generation=4))
    (store.directory / "surveys" / "night.json").write_text("{garbage")
    assert store.put(survey(), source).metadata.generation == 5


def test_the_status_of_a_group_is_none_of_a_survey(store):
    """Somebody copied a file: another kind of status is no status."""
    (store.directory / "surveys").mkdir(parents=True)
    text = status().model_dump_json(by_alias=True, exclude_none=True)
    (store.directory / "surveys" / "night.status.json").write_text(text)
    assert store.survey_status("night") is None


# -- what is written, and when --------------------------------------------------------------------------------------


def test_the_same_resource_again_writes_nothing(store, tmp_path):
    """A host that starts again every minute must not wear the disk out, nor move a file that a command reads."""
    store.put(group(), tmp_path / "g1.yaml")
    path = store.directory / "g1.json"
    before = path.stat()
    store.put(group(), tmp_path / "g1.yaml")
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_file_that_moved_is_known_at_its_new_place_without_a_new_generation(store, tmp_path):
    store.put(group(), tmp_path / "g1.yaml")
    kept = store.put(group(), tmp_path / "moved.yaml")
    assert store.source("g1") == tmp_path / "moved.yaml"
    assert kept.metadata.generation == 1


def test_a_status_in_the_users_file_is_not_kept_as_ours(store, tmp_path):
    """It may be an old one that was copied along."""
    copied = group().model_copy(update={"status": status("Published")})
    assert store.put(copied, tmp_path / "g1.yaml").status is None
    assert store.status("g1") is None
    assert json.loads((store.directory / "g1.json").read_text())["resource"].get("status") is None


def test_what_an_editor_leaves_behind_is_no_group(store, tmp_path):
    store.put(group(), tmp_path / "g1.yaml")
    for name in ("g1.yaml", "g1.json~", ".g1.json.swp", "g1.status.json"):
        (store.directory / name).write_text("{}")
    assert store.names() == ["g1"]


def test_where_nothing_was_run_looking_makes_nothing(store):
    assert (store.names(), store.surveys(), store.status("g1"), store.survey_status("n")) == ([], [], None, None)
    assert not store.directory.exists()
