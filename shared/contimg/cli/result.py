"""What a finished run tells: ``result.json`` with stable keys, and the same as tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contimg.host.outcome import Outcome
from contimg.models.quality import Verdict, worst
from contimg.volume import disk

__all__ = ["print_result", "result_of", "write_result"]


def result_of(outcome: Outcome, anchors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return the result of a run as JSON values; the keys are stable."""
    return {
        "group": outcome.group,
        "verdict": outcome.status.verdict,
        "phase": outcome.status.phase,
        "message": outcome.status.message,
        "products": outcome.products,
        "figures": outcome.figures,
        "timings": outcome.timings,
        "anchors": anchors or [],
        "stages_run": outcome.stages_run,
    }


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Write a result atomically."""
    disk.write(path, json.dumps(result, indent=2, allow_nan=False) + "\n")


def _merged(figures: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return judged figures by name; those of the members of a group come together."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, figure in sorted(figures.items()):
        if figure["limit"]:
            found.setdefault(name.split("@")[0], []).append(figure)
    return found


def _span(figures: list[dict[str, Any]]) -> str:
    values = [figure["value"] for figure in figures if figure["value"] is not None]
    if len(values) < len(figures):
        return "not measured"
    low, high = (f"{value:.4g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} … {high}"


def _figure_table(result: dict[str, Any]) -> Table:
    table = Table(title="Figures with limits", title_justify="left", title_style="bold")
    for column in ("figure", "of", "value", "unit", "limits", "verdict"):
        table.add_column(column, no_wrap=column == "figure", overflow="fold")
    for name, figures in _merged(result["figures"]).items():
        verdict = worst(Verdict(figure["verdict"]) for figure in figures)
        first = figures[0]
        table.add_row(name, str(len(figures)), _span(figures), first["unit"], first["limit"], verdict.value)
    return table


def _anchor_table(result: dict[str, Any]) -> Table:
    table = Table(title="Measured beside CASA 6.7 on the same data", title_justify="left", title_style="bold")
    for column in ("quantity", "measured", "anchor", "allowed", "within"):
        table.add_column(column)
    for row in result["anchors"]:
        table.add_row(row["name"], row["measured"], row["expected"], row["allowed"], "yes" if row["within"] else "NO")
    return table


def _product_lines(result: dict[str, Any]) -> list[str]:
    """Return one line per directory of the archive: the files in it."""
    found: dict[str, list[str]] = {}
    for product in result["products"]:
        path = Path(product["path"])
        found.setdefault(str(path.parent), []).append(path.name)
    stored = sum(bool(product["s3"]) for product in result["products"])
    lines = [f"{directory}: {len(names)} products, e.g. {min(names)}" for directory, names in sorted(found.items())]
    return [
        "Published:",
        *(f"  {line}" for line in lines),
        f"  {stored} of {len(result['products'])} also in the object store",
    ]


def print_result(result: dict[str, Any], console: Console) -> None:
    """Print the tables a person reads at the end of a run."""
    if result["products"]:
        console.print("\n".join(_product_lines(result)), markup=False, soft_wrap=True, highlight=False)
    if _merged(result["figures"]):
        console.print(_figure_table(result))
    if result["anchors"]:
        console.print(_anchor_table(result))
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in result["timings"].items() if value)
    console.print(f"Seconds: {seconds}")
    end = f"{result['group']}: {result['phase']}, verdict {result['verdict']}, {result['stages_run']} attempts run."
    console.print(end, markup=False)
