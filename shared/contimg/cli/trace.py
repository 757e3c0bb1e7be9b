"""``contimg trace``: from a file back to the raw data."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from contimg.cli.cluster import Cluster
from contimg.cli.keeperpod import ask
from contimg.cli.places import DataBase, StageBase, indexes, layout_of
from contimg.errors import BadConfig, ContimgError
from contimg.keeper.queries import BY_SUM, Lineage, Queries, Step
from contimg.volume import disk

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


def _lineage(queries: Queries, path: Path) -> Lineage:
    try:
        return queries.trace(path)
    except (OSError, ValueError) as error:
        shown = repr(str(path) if len(str(path)) <= 200 else f"{str(path)[:200]}…")
        raise BadConfig(f"{shown} cannot be looked at ({error}); name a file") from error


def _trace_there(cluster: Cluster, paths: list[Path], *, json_: bool) -> None:
    """Ask the cluster's records; a file of this machine is asked for by its checksum."""
    words = {path: f"{BY_SUM}{disk.sha256_file(path)}" if path.is_file() else str(path) for path in paths}
    told, code = ask(cluster.kube, ["trace", "--json", "--", *words.values()])
    answer = json.loads(told) if told.strip() else []
    asked = {word: str(path) for path, word in words.items()}
    found = [Lineage.model_validate(each) for each in (answer if isinstance(answer, list) else [answer])]
    shown = [each.model_copy(update={"path": asked.get(each.path, each.path)}) for each in found]
    _show(shown, json_=json_, is_list=len(paths) > 1)
    raise typer.Exit(code)


def trace(
    ctx: typer.Context,
    paths: list[Path] = typer.Argument(
        help="Products, published copies, copies of these, raw files, or sha256:<digits>."
    ),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
    json_: bool = typer.Option(False, "--json", help="Print as JSON, with the parameters of every step."),
) -> None:
    """Say where files come from: every run on the way back to the raw files.

    With several files the answer is a list, and one that is not known does not hide the others.
    """
    if ctx.obj is not None:
        _trace_there(ctx.obj, paths, json_=json_)
    found: list[Lineage] = []
    failed: list[ContimgError] = []
    with indexes(layout_of(stage_base, data_base)) as queries:
        for path in paths:
            try:
                found.append(_lineage(queries, path))
            except ContimgError as error:
                failed.append(error)
    _show(found, json_=json_, is_list=len(paths) > 1)
    for other in failed[:-1]:
        typer.echo(f"contimg: {other}", err=True)
    if failed:
        raise failed[-1]


def _show(found: list[Lineage], *, json_: bool, is_list: bool) -> None:
    if not json_:
        for lineage in found:
            Console(width=WIDTH, highlight=False).print(_tree(lineage))
    elif is_list:
        typer.echo(json.dumps([lineage.model_dump(mode="json") for lineage in found], indent=2))
    elif found:
        typer.echo(found[0].model_dump_json(indent=2))
