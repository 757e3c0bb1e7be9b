"""The definitions say what the models say, structurally."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field
from ruamel.yaml import YAML

from contimg.models.spec import Scope, specs
from contimg_operator.crd import definitions, structural, write

DEFINITIONS = definitions()
FORBIDDEN = {"$ref", "anyOf", "oneOf", "allOf", "const", "title", "prefixItems", "gt", "ge", "lt", "le"}
"""What a structural schema of ours never holds."""


def schema_of(name: str) -> dict[str, Any]:
    return DEFINITIONS[name]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, item in node.get("properties", {}).items():
        yield from nodes(item, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{path}[]")


ALL = [
    (f"{file}{path}", node)
    for file in DEFINITIONS
    for path, node in nodes(schema_of(file), "")
    if not path.endswith(".metadata")
]


def test_every_field_is_described_and_typed():
    assert [path for path, node in ALL if not node.get("description")] == []
    untyped = [path for path, node in ALL if "type" not in node and "x-kubernetes-int-or-string" not in node]
    assert [path for path in untyped if "enum" not in dict(ALL)[path]] == []


def test_the_schemas_are_structural():
    plain = [(path, node) for path, node in ALL if "x-kubernetes-int-or-string" not in node]
    assert [path for path, node in plain if FORBIDDEN & node.keys()] == []


def test_numbers_with_units_are_whole_or_text():
    node = schema_of("surveys.yaml")["properties"]["spec"]["properties"]["groups"]["properties"]["decTolerance"]
    assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert node["default"] == "0.1deg"
    assert re.fullmatch(node["pattern"], "6arcmin")
    assert not re.fullmatch(node["pattern"], "6 parsec")


def test_lists_and_texts_are_bounded():
    unbounded = [path for path, node in ALL if node.get("type") == "array" and "maxItems" not in node]
    free = [
        path for path, node in ALL if node.get("type") == "string" and not {"maxLength", "enum", "format"} & node.keys()
    ]
    assert unbounded + free == []


@pytest.mark.parametrize("name", [name for name, spec in specs().items() if spec.scope is not Scope.WATCHER])
def test_parameters_are_typed_and_have_no_defaults(name):
    stage = schema_of("observationgroups.yaml")["properties"]["spec"]["properties"]["stages"]["properties"][name]
    assert set(stage["properties"]) == set(specs()[name].params.model_fields)
    assert [path for path, node in nodes(stage, name) if "default" in node] == []


def test_a_status_has_no_defaults_and_conditions_are_a_map():
    status = schema_of("observationgroups.yaml")["properties"]["status"]
    assert [path for path, node in nodes(status, "") if "default" in node] == []
    assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_short_names_collide_with_nothing_common():
    common = {
        "po",
        "svc",
        "cm",
        "ns",
        "no",
        "pv",
        "pvc",
        "deploy",
        "ds",
        "sts",
        "rs",
        "ep",
        "ev",
        "sa",
        "crd",
        "ing",
        "csr",
    }
    short = [word for item in DEFINITIONS.values() for word in item["spec"]["names"]["shortNames"]]
    assert len(set(short)) == len(short)
    assert not common & set(short)


def test_open_bounds_become_flags():
    class Bounded(BaseModel):
        share: float = Field(0.5, gt=0, lt=1)

    node = structural(Bounded.model_json_schema()["properties"]["share"], {}, defaults=True)
    assert (node["minimum"], node["exclusiveMinimum"]) == (0, True)
    assert (node["maximum"], node["exclusiveMaximum"]) == (1, True)
    assert node["default"] == 0.5


def test_the_files_are_yaml_that_says_the_same(tmp_path):
    for path in write(tmp_path):
        assert YAML(typ="safe").load(path.read_text()) == DEFINITIONS[path.name]
