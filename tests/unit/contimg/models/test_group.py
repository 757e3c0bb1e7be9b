"""The group a user writes: what is accepted, what is refused, what its digest means."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from contimg.models.group import Condition, GroupSpec, GroupStatus, ObservationGroup, Selection


def read(text):
    return YAML(typ="safe", pure=True).load(text)


TEXT = """
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {name: 20260125t220013z}
spec:
  pipeline: dsa110-continuum
  observations: {start: 2026-01-25T22:00:00Z, count: 10}
  calibrator: auto
  stages:
    image: {cell_arcsec: 3, size: 4800}
    crossmatch: {enabled: true}
  publish: {policy: unless-failed, include: []}
  minMembers: 8
  suspend: false
"""


def group(**changes):
    given = read(TEXT)
    given["spec"] |= changes
    return ObservationGroup.model_validate(given)


def test_the_example_of_the_design_is_valid():
    found = group()
    assert found.name == "20260125t220013z"
    assert found.spec.observations.start == datetime(2026, 1, 25, 22, tzinfo=UTC)
    assert found.spec.min_members == 8


def test_it_survives_yaml_and_back():
    found = group()
    text = json.dumps(found.model_dump(mode="json", by_alias=True))
    assert ObservationGroup.model_validate(read(text)) == found


@pytest.mark.parametrize(
    "selection",
    [
        {"start": "2026-01-25T22:00:00Z", "count": 1},
        {"start": "2026-01-25T22:00:00Z", "end": "2026-01-25T22:00:01Z"},
        {"members": ["2026-01-25T22:26:00"]},
    ],
)
def test_three_forms_of_selection(selection):
    assert Selection.model_validate(selection)


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        ({}, "exactly one of end, count or members"),
        ({"start": "2026-01-25T22:00:00Z"}, "exactly one of end, count or members"),
        ({"start": "2026-01-25T22:00:00Z", "end": "2026-01-26T00:00:00Z", "count": 3}, "exactly one"),
        ({"count": 3}, "start is missing"),
        ({"end": "2026-01-25T22:00:00Z"}, "start is missing"),
        ({"start": "2026-01-25T22:00:00Z", "members": ["x"]}, "members and start exclude"),
        ({"start": "2026-01-25T22:00:00Z", "end": "2026-01-25T22:00:00Z"}, "later than start"),
        ({"start": "2026-01-25T22:00:00Z", "count": 0}, "greater than or equal to 1"),
        ({"start": "2026-01-25T22:00:00Z", "count": 5001}, "less than or equal to 5000"),
        ({"members": ["x", "y", "x"]}, "'x' stands twice"),
        ({"start": "yesterday", "count": 1}, "datetime"),
        ({"start": "2026-01-25T22:00:00Z", "counts": 1}, "Extra inputs"),
    ],
)
def test_bad_selections_are_refused_in_words(selection, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Selection.model_validate(selection)


@pytest.mark.parametrize(
    "changes",
    [
        {"minMembers": 0},
        {"replay": -1},
        {"publish": {"policy": "sometimes"}},
        {"stages": {"image": {"robust": float("nan")}}},
        {"stages": {"image": {"robust": datetime(2026, 1, 25, tzinfo=UTC)}}},
        {"stages": {"image": {"size": 2**60}}},
        {"publish": {"include": ["Every thing"]}},
        {"shard": "a.b"},
        {"calibrator": "a/b"},
        {"pipeline": "../x"},
        {"observations": {"members": ["a/b"]}},
        {"pipelin": "x"},
    ],
)
def test_bad_fields_are_refused(changes):
    with pytest.raises(ValidationError):
        group(**changes)


@pytest.mark.parametrize("name", ["", "Group", "a_b", "-a", "a-", "x" * 64])
def test_names_are_names_of_kubernetes_objects(name):
    given = read(TEXT)
    given["metadata"]["name"] = name
    with pytest.raises(ValidationError):
        ObservationGroup.model_validate(given)


def test_times_without_a_zone_are_utc_and_others_are_turned():
    naive = Selection(start=datetime(2026, 1, 25, 22), count=1)  # noqa: DTZ001 - that is the point
    zoned = Selection.model_validate({"start": "2026-01-25T23:00:00+01:00", "count": 1})
    assert naive.start == zoned.start == datetime(2026, 1, 25, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "changes",
    [
        {"suspend": True},
        {"replay": 3},
        {"publish": {"policy": "always", "include": []}},
        {"publish": {"policy": "manual", "approve": True, "include": []}},
        {"shard": "main"},
        {"reprocess": 0},
        {"stages": {"image": {"cell_arcsec": 3, "size": 4800}, "crossmatch": {"enabled": True}, "mosaic": {}}},
    ],
)
def test_the_digest_leaves_out_what_does_not_change_the_product(changes):
    assert group(**changes).spec.digest == group().spec.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"pipeline": "vla-continuum"},
        {"observations": {"start": "2026-01-25T22:00:00Z", "count": 9}},
        {"calibrator": "3C48"},
        {"stages": {}},
        {"minMembers": 9},
        {"reprocess": 1},
        {"publish": {"policy": "unless-failed", "include": ["images"]}},
    ],
)
def test_the_digest_holds_everything_else(changes):
    assert group(**changes).spec.digest != group().spec.digest


def test_the_digest_is_the_same_however_it_is_spelt():
    by_name = GroupSpec(
        pipeline="dsa110-continuum",
        observations=Selection(start=datetime(2026, 1, 25, 22, tzinfo=UTC), count=10),
        stages={"crossmatch": {"enabled": True}, "image": {"size": 4800.0, "cell_arcsec": 3.0}},
        min_members=8,
    )
    assert by_name.digest == group().spec.digest


def test_resources_are_closed_and_frozen():
    found = group()
    with pytest.raises(ValidationError, match="frozen"):
        found.spec.suspend = True


def test_a_condition_is_found_by_type():
    condition = Condition(
        type="Stalled",
        status="True",
        reason="Waiting",
        message="",
        observed_generation=1,
        last_transition_time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    status = GroupStatus(observed_generation=1, phase="Stalled", conditions=(condition,))
    assert status.condition("Stalled") is condition
    assert status.condition("Succeeded") is None
    assert "lastTransitionTime" in status.model_dump(by_alias=True)["conditions"][0]


def test_what_an_api_server_adds_is_taken_and_the_spec_stays_closed():
    given = read(TEXT)
    given["metadata"] |= {
        "uid": "u",
        "resourceVersion": "7",
        "managedFields": [],
        "labels": {"a": "b"},
        "generation": 3,
    }
    given["status"] = {"observedGeneration": 2, "phase": "Running"}
    found = ObservationGroup.model_validate(given)
    assert (found.metadata.resource_version, found.metadata.labels, found.metadata.generation) == ("7", {"a": "b"}, 3)
    assert found.status.phase == "Running"
    with pytest.raises(ValidationError):
        ObservationGroup.model_validate(given | {"extra": 1})


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "1949-12-31T23:59:59+14:00", "9999-12-31T23:59:59Z"])
def test_times_that_no_recording_has_are_refused_and_never_overflow(start):
    with pytest.raises(ValidationError, match="no time of a recording"):
        Selection.model_validate({"start": start, "count": 1})


def test_phases_are_words_of_a_list():
    with pytest.raises(ValidationError):
        GroupStatus(observed_generation=1, phase="Thinking")
