"""The custom resource definitions, generated from the models: ``python -m contimg_operator.crd DIRECTORY``.

What pydantic refuses is refused by the API server too, as far as a structural schema and CEL can say it. Parameters of
stages are typed but get no defaults: they would become part of the wish. Fields added later get none either, so that
an older operator can read what a newer schema accepted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from contimg.limits import FIRST_YEAR, LAST_YEAR
from contimg.models.group import ObservationGroup
from contimg.models.pipeline import Pipeline
from contimg.models.resource import API_VERSION
from contimg.models.spec import Scope, specs
from contimg.models.survey import NAME, Survey

__all__ = ["definitions", "write"]

Schema = dict[str, Any]
_KEPT = {
    "description", "enum", "format", "items", "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum",
    "pattern", "properties", "required", "type", "x-kubernetes-int-or-string", "anyOf",
}  # fmt: skip
_LONGEST_TEXT = 1024
_MOST_ITEMS = 5000


_EARLIEST, _LATEST = f"{FIRST_YEAR + 1}-01-01T00:00:00Z", f"{LAST_YEAR}-01-01T00:00:00Z"


def _inlined(node: Schema, defs: Schema) -> Schema:
    """Replace a reference by what it refers to; what stands beside it counts more."""
    if "$ref" in node:
        target = defs[node["$ref"].rsplit("/", 1)[-1]]
        return _inlined(target, defs) | {key: value for key, value in node.items() if key != "$ref"}
    for union in ("anyOf", "oneOf", "allOf"):
        options = [item for item in node.get(union, ()) if item.get("type") != "null"]
        if options and "x-kubernetes-int-or-string" not in node:
            return _inlined(options[0], defs) | {key: value for key, value in node.items() if key != union}
    return node


def _bounds(node: Schema) -> Schema:
    """Write open bounds as OpenAPI 3.0 does: a number, and a flag beside it."""
    found: Schema = {}
    for old, new in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if old in node:
            found |= {new: node[old], old: True}
    return found


def structural(node: Schema, defs: Schema, *, defaults: bool) -> Schema:
    """Return a structural schema of a JSON schema of pydantic.

    Parameters
    ----------
    node, defs
        The schema and the definitions it refers to.
    defaults
        Whether defaults are kept.
    """
    node = _inlined(node, defs)
    found = {key: value for key, value in node.items() if key in _KEPT} | _bounds(node)
    if "x-kubernetes-int-or-string" in node:
        return _number_or_text(node, found, defaults=defaults)
    if "const" in node:
        found["enum"] = [node["const"]]
    if defaults and node.get("default") not in (None, "", [], {}) and "properties" not in node:
        found["default"] = node["default"]
    if "prefixItems" in node:
        found["items"] = node["prefixItems"][0]
    if "properties" in node:
        found["properties"] = {
            name: structural(item, defs, defaults=defaults) for name, item in node["properties"].items()
        }
    elif node.get("type") == "object":
        found |= _free(node, defs, defaults=defaults)
    if "items" in found:
        found["items"] = structural(found["items"], defs, defaults=defaults)
        found["items"].setdefault("description", found.get("description", "One of them."))
        found.setdefault("maxItems", _MOST_ITEMS)
    if found.get("type") == "string" and not {"enum", "format"} & found.keys():
        found.setdefault("maxLength", _LONGEST_TEXT)
    if "description" in found:
        told = "" if defaults else _told(node)
        found["description"] = " ".join((found["description"].replace("``", "") + told).split())
    return found


def _told(node: Schema) -> str:
    """Return bounds and default of a parameter in words: ``kubectl explain`` shows neither."""
    words = [
        f"{word} {node[key]:g}"
        for key, word in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if key in node
    ]
    if isinstance(node.get("default"), str | int | float) and node["default"] != "":
        words.append(f"default {json.dumps(node['default'])}")
    return f" [{', '.join(words)}]" if words else ""


def _number_or_text(node: Schema, found: Schema, *, defaults: bool) -> Schema:
    """Return a number with a unit, of which a schema knows whole numbers and text."""
    found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    found["pattern"] = next(item["pattern"] for item in node["anyOf"] if "pattern" in item)
    if defaults and node.get("default") is not None:
        found["default"] = f"{node['default']:g}{node['x-unit']}"
    return found


def _free(node: Schema, defs: Schema, *, defaults: bool) -> Schema:
    """Return an object whose keys are the user's: typed values, or anything."""
    values = node.get("additionalProperties")
    if isinstance(values, dict) and values.get("type") != "object":
        inner = structural(values, defs, defaults=defaults)
        return {"additionalProperties": inner | {"description": inner.get("description", "Value by name.")}}
    return {"x-kubernetes-preserve-unknown-fields": True}


def _parameters() -> Schema:
    """Return the typed parameters of every installed stage that has tasks, without defaults."""
    found = {}
    for spec in specs().values():
        if spec.scope is not Scope.WATCHER:
            schema = spec.params.model_json_schema()
            found[spec.name] = structural(schema, schema.get("$defs", {}), defaults=False)
    return {
        "type": "object",
        "description": "Parameters that differ from the pipeline's defaults, by stage.",
        "properties": found,
    }


def _rule(rule: str, message: str) -> Schema:
    return {"rule": rule, "message": message}


def _short(schema: Schema, kind: str, longest: int) -> None:
    """Bound the name, which an API server lets be longer."""
    words = f"the name of a {kind} has at most {longest} characters"
    schema["x-kubernetes-validations"] = [_rule(f"size(self.metadata.name) <= {longest}", words)]


def _times(node: Schema) -> None:
    """Bound every time of a wish: a clock or a hand was wrong."""
    for item in node.get("properties", {}).values():
        if item.get("format") == "date-time":
            rule = f"self > timestamp('{_EARLIEST}') && self < timestamp('{_LATEST}')"
            item["x-kubernetes-validations"] = [_rule(rule, f"times lie between {FIRST_YEAR} and {LAST_YEAR}")]
        _times(item)


def _group(schema: Schema) -> None:
    _short(schema, "group", 63)
    spec = schema["properties"]["spec"]["properties"]
    spec["stages"] = _parameters()
    spec["shard"]["x-kubernetes-validations"] = [_rule("self == oldSelf", "shard cannot be changed; make a new group")]
    spec["observations"]["properties"]["members"]["x-kubernetes-list-type"] = "set"
    has = "(has(self.end) ? 1 : 0) + (has(self.count) ? 1 : 0) + (has(self.members) && size(self.members) > 0 ? 1 : 0)"
    named = "has(self.members) && size(self.members) > 0"
    spec["observations"]["x-kubernetes-validations"] = [
        _rule(f"{has} == 1", "give exactly one of end, count or members"),
        _rule(f"({named}) || has(self.start)", "start is missing"),
        _rule(f"!({named}) || !has(self.start)", "members and start exclude each other"),
        _rule("!has(self.end) || !has(self.start) || self.end > self.start", "end must be later than start"),
    ]


def _survey(schema: Schema) -> None:
    spec = schema["properties"]["spec"]["properties"]
    spec["template"]["properties"]["stages"] = _parameters()
    spec["shard"]["x-kubernetes-validations"] = [_rule("self == oldSelf", "shard cannot be changed; make a new survey")]
    spec["groups"]["x-kubernetes-validations"] = [
        _rule("self.overlap < self.size", "overlap must be smaller than size"),
        _rule("self.minSize <= self.size", "minSize must not be larger than size"),
    ]
    for name in ("groups", "fileSets"):
        inner = spec[name]["properties"]
        spec[name]["default"] = {key: item["default"] for key, item in inner.items() if "default" in item}
    spec["fileSets"]["x-kubernetes-validations"] = [
        _rule("!has(self.min) || !has(self.expect) || self.min <= self.expect", "min must not be larger than expect")
    ]
    _short(schema, "survey", NAME)


def _pipeline(schema: Schema) -> None:
    schema["properties"]["spec"]["x-kubernetes-validations"] = [
        _rule("self == oldSelf", "a pipeline never changes; make one with a new name")
    ]
    stages = schema["properties"]["spec"]["properties"]["stages"]
    stages |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["stage"]}
    each = stages["items"]["properties"]
    each["stage"]["maxLength"] = each["reads"]["items"]["maxLength"] = 31
    each["reads"]["maxItems"] = stages["maxItems"]
    known = "self.all(s, !has(s.reads) || s.reads.all(r, r != s.stage && self.exists(t, t.stage == r)))"
    stages["x-kubernetes-validations"] = [_rule(known, "a stage reads only stages that stand before it")]
    _short(schema, "pipeline", 63)


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if wide else {})


_AGE = _column("Age", ".metadata.creationTimestamp", "date")
_GROUP_COLUMNS = [
    _column("Pipeline", ".spec.pipeline"),
    _column("Phase", ".status.phase"),
    _column("Stage", ".status.stage"),
    _column("Progress", ".status.progress"),
    _column("Verdict", ".status.verdict"),
    _column("Message", ".status.message"),
    _AGE,
]
_SURVEY_COLUMNS = [
    _column("Pipeline", ".spec.pipeline"),
    _column("Phase", ".status.phase"),
    _column("Groups", ".status.groups", "integer"),
    _column("Waiting", ".status.waiting", "integer"),
    _column("Ungrouped", ".status.ungroupedCount", "integer"),
    _column("Message", ".status.message"),
    _AGE,
]
_PIPELINE_COLUMNS = [_column("Instrument", ".spec.instrument"), _column("Title", ".spec.title"), _AGE]


def _definition(
    model: type[ObservationGroup | Survey | Pipeline],
    plural: str,
    short: str,
    columns: list[Schema],
    adapt: Callable[[Schema], None],
) -> Schema:
    full = model.model_json_schema(by_alias=True)
    schema = structural(full, full.get("$defs", {}), defaults=True)
    for name in ("apiVersion", "kind"):
        schema["properties"].pop(name)
    schema["properties"]["metadata"] = {"type": "object"}
    schema["required"] = ["spec"]
    _times(schema["properties"]["spec"])
    adapt(schema)
    status = schema["properties"].get("status")
    if status is not None:
        _open(status)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{API_VERSION.partition('/')[0]}"},
        "spec": {
            "group": API_VERSION.partition("/")[0],
            "scope": "Namespaced",
            "names": {
                "kind": model.__name__,
                "listKind": f"{model.__name__}List",
                "plural": plural,
                "singular": model.__name__.lower(),
                "shortNames": [short],
                "categories": ["contimg"],
            },
            "versions": [
                {
                    "name": API_VERSION.partition("/")[2],
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "additionalPrinterColumns": columns,
                }
                | ({"subresources": {"status": {}}} if status is not None else {})
            ],
        },
    }


def _open(status: Schema) -> None:
    """Make conditions a map by type; take no default, and any word: a release may bring new ones."""

    def plain(node: Schema) -> None:
        node.pop("default", None)
        if node.pop("enum", None):
            node |= {"pattern": "^[A-Za-z][A-Za-z-]*$", "maxLength": 64}
        for item in node.get("properties", {}).values():
            plain(item)
        if "items" in node:
            plain(node["items"])

    plain(status)
    conditions = status["properties"].get("conditions")
    if conditions is not None:
        conditions |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "maxItems": 16}


def definitions() -> dict[str, Schema]:
    """Return the three definitions by file name."""
    return {
        "observationgroups.yaml": _definition(ObservationGroup, "observationgroups", "og", _GROUP_COLUMNS, _group),
        "pipelines.yaml": _definition(Pipeline, "pipelines", "cpl", _PIPELINE_COLUMNS, _pipeline),
        "surveys.yaml": _definition(Survey, "surveys", "svy", _SURVEY_COLUMNS, _survey),
    }


def write(directory: Path) -> list[Path]:
    """Write the definitions as YAML, one file each, and return the files."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    directory.mkdir(parents=True, exist_ok=True)
    for name, definition in definitions().items():
        with (directory / name).open("w", encoding="utf-8") as stream:
            yaml.dump(definition, stream)
    return [directory / name for name in definitions()]


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        sys.stdout.write(f"{path}\n")
