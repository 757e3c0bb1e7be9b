"""``contimg pipeline``: stages, parameters with units, defaults and limits."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from contimg.models.instrument import pipeline, pipelines
from contimg.models.pipeline import Pipeline, PipelineStage
from contimg.models.spec import StageSpec, effective, specs

__all__ = ["app", "parameter_rows", "show"]

app = typer.Typer(help="Pipelines: ordered graphs of stages.", no_args_is_help=True)

UNITS = {
    "arcsec": "″",
    "deg": "°",
    "s": "s",
    "min": "min",
    "jy": "Jy",
    "hz": "Hz",
    "m": "m",
    "lambda": "λ",
    "sigma": "σ",
}
"""Suffix of a parameter's name to the unit shown."""


def unit_of(name: str) -> str:
    """Return the unit that the name of a parameter carries, or nothing."""
    return UNITS.get(name.rsplit("_", 1)[-1], "")


def _bounds(schema: dict[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    parts = [f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema]
    if "enum" in schema:
        parts.append(" | ".join(map(str, schema["enum"])))
    return ", ".join(parts)


def parameter_rows(spec: StageSpec, given: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return one row per parameter: name, unit, value, bounds, meaning."""
    schema = spec.params.model_json_schema()
    values, plain = effective(spec, given), effective(spec, {})
    rows = []
    for name, field in spec.params.model_fields.items():
        item = schema["properties"][name]
        if "$ref" in item:
            item = schema["$defs"][item["$ref"].rsplit("/", 1)[-1]] | item
        mark = "" if values[name] == plain[name] else " *"
        meaning = " ".join((field.description or "").split())
        rows.append((name, unit_of(name), f"{values[name]}{mark}", _bounds(item), meaning))
    return rows


def _title(item: PipelineStage, spec: StageSpec) -> str:
    reads = f", reads {', '.join(item.reads)}" if item.reads else ""
    optional = ", optional" if item.optional else ""
    return f"{item.stage} (per {spec.scope}{optional}{reads}; recipe version {spec.recipe_version})"


def _table(item: PipelineStage, spec: StageSpec) -> Table:
    table = Table(title=_title(item, spec), title_justify="left", title_style="bold", expand=False)
    for column in ("parameter", "unit", "value", "limits", "meaning"):
        table.add_column(column, overflow="fold")
    for row in parameter_rows(spec, item.params):
        table.add_row(*row)
    return table


@app.command("list")
def list_() -> None:
    """List the pipelines."""
    for item in pipelines().values():
        typer.echo(f"{item.name}: {item.title}")


@app.command("show")
def show(name: str = typer.Argument(help="Name of a pipeline, e.g. dsa110-continuum.")) -> None:
    """Show the stages of a pipeline with every parameter; * marks what differs from the stage's own default."""
    chosen: Pipeline = pipeline(name)
    console = Console()
    console.print(f"[bold]{chosen.name}[/bold]: {chosen.title} (instrument {chosen.instrument})")
    for item in chosen.stages:
        if item.stage in specs():
            console.print(_table(item, specs()[item.stage]))
        else:
            console.print(f"{item.stage}: watches for raw files; its policy stands in the survey")
