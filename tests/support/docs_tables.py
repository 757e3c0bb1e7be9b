"""The parameter tables in ``docs/stages/``; ``python tests/support/docs_tables.py`` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from metered import registered
from pydantic import BaseModel

from contimg.models.instrument import pipelines
from contimg.models.spec import specs
from contimg.models.survey import FileSetRules
from contimg.settings import variables

__all__ = ["DOCS", "rendered", "table"]

DOCS = Path(__file__).parents[2] / "docs"
PART = re.compile(r"(<!-- parameters of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
VARIABLES = re.compile(r"(<!-- environment variables -->\n).*?(<!-- end -->)", re.DOTALL)
METRICS = re.compile(r"(<!-- metrics -->\n).*?(<!-- end -->)", re.DOTALL)
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _values(item: dict[str, Any]) -> str:
    """Return what a field accepts: choices, or bounds."""
    if "enum" in item:
        return ", ".join(f"`{value}`" for value in item["enum"])
    return ", ".join(f"{sign} {item[key]:g}" for key, sign in BOUNDS.items() if key in item)


def _default(value: Any) -> str:
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"`{text}`" if text else "empty"


def _differences(stage: str) -> list[str]:
    found = [(name, item.stage(stage)) for name, item in pipelines().items()]
    return [
        f"Pipeline `{name}` sets " + ", ".join(f"`{key}: {_plain(value)}`" for key, value in item.params.items()) + "."
        for name, item in found
        if item is not None and item.params
    ]


def _plain(value: Any) -> str:
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list) else str(value)


def table(stage: str) -> str:
    """Return the Markdown table of a stage's parameters, from their class."""
    model: type[BaseModel] = FileSetRules if stage == "ingest" else specs()[stage].params
    schema = model.model_json_schema(mode="serialization")
    defaults = model().model_dump(mode="json")
    lines = ["| parameter | default | values | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        item = schema["properties"][field.alias or name]
        item = next((form for form in item.get("anyOf", ()) if form != {"type": "null"}), item)
        item = schema["$defs"][item["$ref"].rsplit("/", 1)[-1]] if "$ref" in item else item
        meaning = " ".join((field.description or "").split()).replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{field.alias or name}` | {_default(defaults[name])} | {_values(item)} | {meaning} |")
    return "\n".join(lines + [""] * bool(_differences(stage)) + _differences(stage)) + "\n"


def environment() -> str:
    """Return the Markdown table of every environment variable."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, default, meaning in variables():
        words = " ".join(meaning.split()).replace("``", "`").replace("|", "\\|")
        lines.append(f"| `{name}` | {_default(default)} | {words} |")
    return "\n".join(lines) + "\n"


def metrics() -> str:
    """Return the Markdown table of every metric."""
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for name, (kind, labels, text) in sorted(registered().items()):
        lines.append(f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |")
    return "\n".join(lines) + "\n"


def rendered(text: str) -> str:
    """Return a page with its parameter tables as the classes say now."""
    text = METRICS.sub(lambda part: f"{part[1]}\n{metrics()}\n{part[2]}", text)
    text = VARIABLES.sub(lambda part: f"{part[1]}\n{environment()}\n{part[2]}", text)
    return PART.sub(lambda part: f"{part[1]}\n{table(part[2])}\n{part[3]}", text)


if __name__ == "__main__":
    for page in sorted(DOCS.rglob("*.md")):
        page.write_text(rendered(page.read_text()))
