"""``contimg trace``: from a file back to the raw data."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from contimg.cli.places import DataBase, StageBase, indexes
from contimg.cli.run import layout_of
from contimg.keeper.queries import Lineage, Step

__all__ = ["trace"]


WIDTH = 4000
"""Columns of the tree: a line too long for the terminal is wrapped by it; cutting it would lose the id it ends with."""


def _label(step: Step) -> str:
    left = "" if step.present else ", cleaned up"
    return f"{step.stage} {step.unit}  task {step.task}  {step.verdict}  contimg {step.version}{left}"


def _grow(tree: Tree, step: Step, steps: dict[str, Step], seen: set[str]) -> None:
    branch = tree.add(Text(_label(step) + (" (above)" if step.task in seen else "")))
    if step.task in seen:
        return
    seen.add(step.task)
    for path in step.raw:
        branch.add(Text(f"raw {path}"))
    for ref in step.inputs:
        if ref.task in steps:
            _grow(branch, steps[ref.task], steps, seen)


def _tree(lineage: Lineage) -> Tree:
    tree = Tree(Text(f"{lineage.product}  {lineage.path}"))
    steps = {step.task: step for step in lineage.steps}
    if lineage.steps:
        _grow(tree, lineage.steps[0], steps, set())
    for path in lineage.raw if not lineage.steps else ():
        tree.add(Text(f"raw {path}"))
    for task in lineage.used_by:
        tree.add(Text(f"read by task {task}"))
    return tree


def trace(
    path: Path = typer.Argument(help="A product, its published copy, a copy of that, or a raw file."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
    json_: bool = typer.Option(False, "--json", help="Print as JSON, with the parameters of every step."),
) -> None:
    """Say where a file comes from: every run on the way back to the raw files."""
    with indexes(layout_of(stage_base, data_base, None)) as queries:
        lineage = queries.trace(path)
    if json_:
        typer.echo(lineage.model_dump_json(indent=2))
    else:
        Console(width=WIDTH, highlight=False).print(_tree(lineage))
