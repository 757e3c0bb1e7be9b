"""Surveys: units, defaults and consistency."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from contimg.models.survey import FileSetRules, GroupRules, Survey


def read(text):
    return YAML(typ="safe", pure=True).load(text)


TEXT = """
apiVersion: contimg.dsa110.org/v1alpha1
kind: Survey
metadata: {name: night}
spec: {pipeline: dsa110-continuum,
       groups: {size: 10, overlap: 2, minSize: 3, maxGap: 900s, maxSpan: 60min, decTolerance: 0.1deg},
       fileSets: {expect: 16, min: 16, deadline: 15min}, publish: {policy: on-qa-pass}, suspend: false}
"""


def test_the_example_of_the_design_is_valid_and_is_the_default():
    survey = Survey.model_validate(read(TEXT))
    assert survey.spec.groups == GroupRules()
    assert survey.spec.file_sets == FileSetRules(expect=16, min=16)


def test_a_template_a_start_and_a_shard_may_be_given():
    given = read(TEXT)
    given["spec"] |= {
        "start": "2026-01-25T00:00:00Z",
        "template": {"stages": {"image": {"robust": 1}}, "calibrator": "3C48", "minMembers": 3},
        "shard": "north",
    }
    spec = Survey.model_validate(given).spec
    assert (spec.template.min_members, spec.template.calibrator, spec.shard) == (3, "3C48", "north")
    assert Survey.model_validate(read(TEXT)).spec.start is None


def test_names_leave_room_for_the_names_of_groups():
    given = read(TEXT)
    Survey.model_validate(given | {"metadata": {"name": "x" * 46}})
    with pytest.raises(ValidationError, match="at most 46 characters"):
        Survey.model_validate(given | {"metadata": {"name": "x" * 47}})


def test_it_survives_yaml_and_back():
    survey = Survey.model_validate(read(TEXT))
    text = json.dumps(survey.model_dump(mode="json", by_alias=True))
    assert Survey.model_validate(read(text)) == survey


@pytest.mark.parametrize(
    ("field", "text", "name", "value"),
    [
        ("maxGap", "15min", "max_gap_s", 900.0),
        ("maxGap", "0.25h", "max_gap_s", 900.0),
        ("maxGap", 600, "max_gap_s", 600.0),
        ("maxSpan", "3600s", "max_span_min", 60.0),
        ("maxSpan", "1h", "max_span_min", 60.0),
        ("decTolerance", "6arcmin", "dec_tolerance_deg", 0.1),
    ],
)
def test_units_are_turned_into_those_of_the_field(field, text, name, value):
    assert getattr(GroupRules.model_validate({field: text}), name) == pytest.approx(value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"maxGap": "900"}, "units s, min, h"),
        ({"maxGap": "fast s"}, "write a number with one of the units s, min, h, e.g. 10s"),
        ({"maxSpan": "60 lightyears"}, "write a number with one of the units min, s, h, e.g. 10min"),
        ({"maxGap": "-1s"}, "greater than 0"),
        ({"decTolerance": "0.1rad"}, "units deg, arcmin"),
        ({"overlap": 10}, "overlap 10 must be smaller than size 10"),
        ({"minSize": 11}, "minSize 11 must not be larger than size 10"),
        ({"sizes": 3}, "Extra inputs"),
    ],
)
def test_bad_rules_are_refused_in_words(given, sentence):
    with pytest.raises(ValidationError, match=sentence):
        GroupRules.model_validate(given)


def test_a_file_set_cannot_need_more_than_it_has():
    with pytest.raises(ValidationError, match="min 17 must not be larger than expect 16"):
        FileSetRules(min=17, expect=16)
