"""What a finished run tells: ``result.json`` with stable keys, and the same as tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contimg.files import write_atomic
from contimg.outcome import Outcome

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
    write_atomic(path, json.dumps(result, indent=2, allow_nan=False) + "\n")


def _figure_table(result: dict[str, Any]) -> Table:
    table = Table(title="Figures with limits", title_justify="left", title_style="bold")
    for column in ("figure", "value", "unit", "limits", "verdict"):
        table.add_column(column)
    for name, figure in sorted(result["figures"].items()):
        if figure["limit"]:
            value = "not measured" if figure["value"] is None else f"{figure['value']:.5g}"
            table.add_row(name, value, figure["unit"], figure["limit"], figure["verdict"])
    return table


def _anchor_table(result: dict[str, Any]) -> Table:
    table = Table(title="Measured beside the anchor (CASA 6.7 on the same data)", title_justify="left", title_style="bold")
    for column in ("quantity", "measured", "anchor", "allowed", "within"):
        table.add_column(column)
    for row in result["anchors"]:
        table.add_row(row["name"], row["measured"], row["expected"], row["allowed"], "yes" if row["within"] else "NO")
    return table


def _product_table(result: dict[str, Any]) -> Table:
    table = Table(title="Published products", title_justify="left", title_style="bold")
    table.add_column("type")
    table.add_column("path", overflow="fold")
    table.add_column("S3 key", overflow="fold")
    for row in result["products"]:
        table.add_row(row["type"], row["path"], row["s3"] or "-")
    return table


def print_result(result: dict[str, Any], console: Console) -> None:
    """Print the tables a person reads at the end of a run."""
    if result["products"]:
        console.print(_product_table(result))
    if any(figure["limit"] for figure in result["figures"].values()):
        console.print(_figure_table(result))
    if result["anchors"]:
        console.print(_anchor_table(result))
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in result["timings"].items())
    console.print(f"Seconds: {seconds}")
    console.print(f"{result['group']}: {result['phase']}, verdict {result['verdict']}, {result['stages_run']} attempts run.")
