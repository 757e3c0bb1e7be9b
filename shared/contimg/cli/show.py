"""``contimg show``, ``why`` and ``log``: one thing in full, what blocks a group, what an attempt printed."""

from __future__ import annotations

from pathlib import Path

import typer
import yaml
from rich.console import Console

from contimg.cli.display import status_table
from contimg.cli.places import DataBase, StageBase, indexes
from contimg.cli.run import layout_of
from contimg.engine.why import why as explain
from contimg.errors import BadConfig
from contimg.host.files import Shelf
from contimg.host.local import LocalOptions, look_at
from contimg.host.yamlfile import load_model
from contimg.models.group import ObservationGroup
from contimg.models.params import nearest, specs
from contimg.pipelines import pipeline
from contimg.volume.layout import Layout

__all__ = ["log", "show", "why"]


def _group(layout: Layout, name: str) -> ObservationGroup:
    """Return a group by its name, or from its YAML file."""
    if Path(name).suffix in {".yaml", ".yml"}:
        return load_model(Path(name), ObservationGroup)
    return Shelf(layout).get(name)[0]


def why(
    group: str = typer.Argument(help="Name of a group, or its YAML file."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
    incoming: Path | None = typer.Option(None, help="Directory of the raw files; default: <data base>/incoming."),
) -> None:
    """Say in words what a group waits for, or what became of it."""
    layout = layout_of(stage_base, data_base, incoming)
    resource = _group(layout, group)
    options = LocalOptions(layout, Path(group), watch=True)  # a question must not take incoming/ as complete
    typer.echo(explain(resource, look_at(resource, pipeline(resource.spec.pipeline), options)))


def _show_group(layout: Layout, name: str, console: Console) -> None:
    group, source = Shelf(layout).get(name)
    status = Shelf(layout).status(name)
    console.print(f"{name} (pipeline {group.spec.pipeline}, from {source})", markup=False)
    console.print(yaml.safe_dump(group.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)), markup=False)
    if status is not None:
        console.print(f"{status.phase}: {status.message}", markup=False)
        console.print(status_table(status))
        for item in status.conditions:
            since = f"{item.last_transition_time:%Y-%m-%dT%H:%M:%SZ}"
            said = f": {item.message}" if item.message else ""
            console.print(f"{item.type}={item.status} {item.reason} since {since}{said}", markup=False)


def _show_run(layout: Layout, thing: str) -> bool:
    """Print the manifest of a run, by its id or an unambiguous begin of it."""
    with indexes(layout) as queries:
        manifest = queries.run(thing)
    if manifest is not None:
        typer.echo(manifest.model_dump_json(indent=2))
    return manifest is not None


def _show_record(layout: Layout, thing: str) -> bool:
    path = layout.observations / thing[:10] / f"{thing}.json"
    if path.is_file():
        typer.echo(path.read_text())
    return path.is_file()


def show(
    thing: str = typer.Argument(help="Name of a group, id of a task (or its first digits), or id of an observation."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
) -> None:
    """Show one group, run or observation in full."""
    layout = layout_of(stage_base, data_base, None)
    names = Shelf(layout).names()
    if thing in names:
        _show_group(layout, thing, Console(soft_wrap=True))
    elif not (_show_record(layout, thing) or _show_run(layout, thing)):
        raise BadConfig(
            f"'contimg get groups' lists the groups, and nothing here is called {thing!r}{nearest(thing, names)}"
        )


def log(
    attempt: str = typer.Argument(
        help="<task>-<number> as 'contimg get attempts' shows it; the task's first digits will do."
    ),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
) -> None:
    """Print what an attempt printed: of a committed run its log, of a failed attempt the error log."""
    layout = layout_of(stage_base, data_base, None)
    task, _, number = attempt.partition("-")
    found = [*layout.failed.glob(f"*/{task}*-{number or '*'}_error.log")]
    found += [log for spec in specs().values() for log in layout.runs(spec.home).glob(f"{task}*/log.txt")]
    if not found:
        raise BadConfig(
            f"no log of an attempt {attempt!r} below {layout.stage_base}; 'contimg get attempts' lists them"
        )
    for path in sorted(found):
        typer.echo(f"== {path}")
        typer.echo(path.read_text(errors="replace"))
