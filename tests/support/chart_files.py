"""The generated parts of the Helm chart; ``python tests/support/chart_files.py`` writes them anew.

Services, users of the message server and custom resource definitions follow from what the installed stages and the
models declare; the schema of the values gets their names, the README its table from schema and defaults.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from contimg.access import HOST, KEEPER, configuration, users
from contimg.limits import ProtocolLimits
from contimg.models.instrument import pipelines
from contimg.models.spec import Scope, StageSpec, specs
from contimg_operator.crd import definitions
from contimg_operator.rights import RULES

__all__ = ["CHART", "generated", "services"]

CHART = Path(__file__).parents[2] / "charts" / "contimg"
PAGE = CHART.parents[1] / "docs" / "chart.md"
DOCKERFILES = CHART.parents[1] / "Dockerfiles"
SHARD = "@SHARD@"
"""Stands for the shard's name in generated subjects."""
COMMON = {"resources": "Memory and processors."}
"""What the fields that many objects have are for."""
GRACE_S = 30
"""Beyond the time limit of a stage: the process ends by itself before the kubelet ends it."""
MADE = "# Made by tests/support/chart_files.py; a test finds drift.\n"


def services() -> dict[str, dict[str, Any]]:
    """Return what the chart must know of each service, by name: user, mounts, grace, whether it is the only one."""
    own: dict[str, dict[str, Any]] = {
        "operator": {"user": HOST, "mounts": {}, "single": True, "graceSeconds": GRACE_S + 30},
        "keeper": {
            "user": KEEPER,
            "mounts": {"staging": "rw", "data": "ro", "state": "rw"},
            "single": True,
            "graceSeconds": GRACE_S + 30,
        },
    }
    return own | {name: _service(spec) for name, spec in specs().items()}


def _service(spec: StageSpec) -> dict[str, Any]:
    if spec.scope is Scope.WATCHER:
        mounts = {"state": "rw", "incoming": "ro"}
        return {"mounts": mounts, "single": True, "graceSeconds": GRACE_S + 30}
    mounts = {"staging": "rw", "state": "rw"}
    if spec.name in _first_stages():
        mounts["incoming"] = "ro"
    if spec.effect:
        mounts["data"] = "rw"
    found = {"user": spec.name, "mounts": mounts, "graceSeconds": int(spec.time_limit_s) + GRACE_S}
    return found | ({"store": True} if spec.effect else {})


def _first_stages() -> set[str]:
    """Return the stages that read raw files: those that read no other stage in some pipeline."""
    found = {stage.stage for pipeline in pipelines().values() for stage in pipeline.spec.stages if not stage.reads}
    return {name for name in found if specs()[name].scope is not Scope.WATCHER}


def _has_image(stage: str) -> bool:
    return (DOCKERFILES / f"{stage}.Dockerfile").exists()


def _users() -> list[str]:
    return [user.name for user in users(SHARD, specs().values())]


def _definition(content: dict[str, Any]) -> str:
    """Return the template of a custom resource definition."""
    plain = json.loads(json.dumps(content))  # repeated parts would become aliases
    plain["metadata"]["annotations"] = "KEPT"
    text = _yaml(plain).replace("{{", '{{ "{{" }}')
    kept = "\n    {{- if .Values.crds.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}"
    return f"{MADE}{{{{- if .Values.crds.install }}}}\n{text.replace(' KEPT', kept, 1)}{{{{- end }}}}\n"


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


def schema() -> dict[str, Any]:
    """Return the schema of the values: limits as the protocol has them, stages that are installed and have an image."""
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    found["properties"]["limits"]["properties"] = {
        item.name: {"type": "number", "exclusiveMinimum": 0, "description": f"Default {item.default:g}."}
        for item in fields(ProtocolLimits)
    }
    workers = [name for name, spec in specs().items() if spec.scope is not Scope.WATCHER and _has_image(name)]
    found["properties"]["stages"]["properties"] = {
        name: {"$ref": "#/$defs/stage", "description": f"Workers of stage `{name}`."} for name in workers
    }
    return found


def _rows(properties: dict[str, Any], defaults: Any, path: str = "") -> Iterator[str]:
    """Yield a line of the table for every value; what many have in common has a table of its own."""
    for name, item in properties.items():
        value = defaults.get(name) if isinstance(defaults, dict) else None
        where = f"{path}{name}"
        common = item.get("$ref", "").rpartition("/")[2]
        kind = f"[{common}](#{common})" if common else _shown(value) if "properties" not in item else ""
        yield f"| `{where}` | {kind} | {item.get('description') or COMMON[common]} |"
        yield from _rows(item.get("properties", {}), value, f"{where}.")


def _shown(value: Any) -> str:
    return "–" if value is None else "empty" if value in ("", [], {}) else f"`{json.dumps(value).strip(chr(34))}`"


def _table(properties: dict[str, Any], defaults: Any) -> str:
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *_rows(properties, defaults)])


def _filled(path: Path, name: str, text: str) -> str:
    """Return a document with the part of a name replaced."""
    begin, _, rest = path.read_text().partition(f"<!-- {name} -->\n")
    return f"{begin}<!-- {name} -->\n\n{text}\n\n<!-- end -->{rest.partition('<!-- end -->')[2]}"


def page() -> str:
    """Return the page on the chart with the table of its services."""
    lines = ["| service | user of the bus | volumes | seconds to end |", "|---|---|---|---|"]
    for name, item in services().items():
        mounts = ", ".join(
            f"{volume} (read only)" if mode == "ro" else volume for volume, mode in item["mounts"].items()
        )
        lines.append(f"| {name} | {item.get('user', '–')} | {mounts or '–'} | {item['graceSeconds']} |")
    return _filled(PAGE, "services", "\n".join(lines))


def readme() -> str:
    """Return the chart's README with the tables of its values."""
    whole, defaults = schema(), yaml.safe_load((CHART / "values.yaml").read_text())
    whole["properties"]["limits"]["properties"] = {}
    del whole["properties"]["global"]
    parts = [_table(whole["properties"], defaults)]
    for name, part in whole["$defs"].items():
        parts.append(f"### {name}\n\n{part['description']}\n\n{_table(part['properties'], {})}")
    return _filled(CHART / "README.md", "values", "\n\n".join(parts))


def generated() -> dict[Path, str]:
    """Return the content of every generated file."""
    definitions_ = {f"templates/crds/{name}": _definition(content) for name, content in definitions().items()}
    files = definitions_ | {
        "files/services.yaml": MADE + _yaml(services()),
        "files/users.yaml": MADE + _yaml(_users()),
        "files/rights.yaml": MADE + _yaml(RULES),
        "files/authorization.conf": MADE + configuration(SHARD) + "\n",
        "README.md": readme(),
        "values.schema.json": json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
    }
    return {CHART / name: text for name, text in files.items()} | {PAGE: page()}


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
