"""``contimg schema``: what is printed accepts what the program writes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from contimg.cli.main import app
from contimg.cli.schema import SCHEMAS
from contimg.errors import BadConfig
from contimg.models.spec import specs


def invoke(*words):
    return CliRunner().invoke(app, ["schema", *words])


def test_without_a_name_all_are_listed():
    assert invoke().output.split() == [*SCHEMAS, *specs()]


@pytest.mark.parametrize("name", [*SCHEMAS, *specs()])
def test_each_is_a_json_schema_of_an_object(name):
    schema = json.loads(invoke(name).output)
    assert schema["type"] == "object"
    assert schema["properties"] or name in specs(), "a stage may have no parameter"


def test_resources_are_spelled_as_in_yaml_and_refuse_other_fields():
    schema = json.loads(invoke("ObservationGroup").output)
    spec = schema["$defs"]["GroupSpec"]
    assert {"minMembers", "pipeline", "observations"} <= set(spec["properties"])
    assert spec["additionalProperties"] is False
    assert set(spec["required"]) == {"pipeline", "observations"}


def test_parameters_carry_bounds_and_words():
    image = json.loads(invoke("image").output)["properties"]
    assert image["robust"]["minimum"] == -2
    assert image["robust"]["maximum"] == 2
    assert image["robust"]["description"]


def test_an_unknown_name_offers_the_nearest():
    done = invoke("Manifst")
    assert isinstance(done.exception, BadConfig)
    assert "did you mean 'Manifest'" in str(done.exception)
