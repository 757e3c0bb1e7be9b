"""``contimg comap``: projects with the users' own TOML files."""

from __future__ import annotations

import json
import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from ruamel.yaml import YAML

from contimg.cli.run import JOBS, exit_code, report, run_files
from contimg.engine.words import several
from contimg.errors import BadConfig
from contimg.host.local import LocalOptions
from contimg.instruments.comap.instrument import INSTRUMENT
from contimg.instruments.comap.library import Found, library
from contimg.instruments.comap.project import Group, Project, Step, open_project
from contimg.machine import processors
from contimg.settings import Settings
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = ["app"]

app = typer.Typer(
    help="COMAP projects: run.py and parameter_files/*.toml.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_MAIN = typer.Argument(help="The main file, e.g. parameter_files/main_run.toml.")
_RUN = "run.py.txt"
_DIRECTORIES = ("modules", "databases", "logs", "map_making_configs", "outputs")


@app.command()
def init(directory: Path = typer.Argument(help="Directory of the project; made if needed.")) -> None:
    """Make a project: run.py, parameter files with every key, directories. What is there already stays."""
    root = disk.check_writable(directory, "directory of the project")
    for name in _DIRECTORIES:
        (root / name).mkdir(exist_ok=True)
    package = files("contimg.instruments.comap")
    sources = {item.name: item.read_text(encoding="utf-8") for item in (package / "template").iterdir()}
    texts = {root / "run.py": sources.pop(_RUN)} | {root / "parameter_files" / n: text for n, text in sources.items()}
    grids = (package / "data" / "wcs_definitions.toml").read_text(encoding="utf-8")
    texts[root / "map_making_configs" / "wcs_definitions.toml"] = grids
    for target, text in sorted(texts.items()):
        if target.exists():
            typer.echo(f"{target} is there already and stays")
            continue
        target.parent.mkdir(exist_ok=True)
        disk.write(target, text)
    typer.echo(f"Say in {root}/parameter_files/main_run.toml where level 1 lies, then: cd {root} && python run.py")


def _layout(project: Project) -> Layout:
    """Return the directories: the environment's, else ``.contimg`` of the project; level 1 where the project says."""
    Settings.from_environment()
    given = Layout.from_environment()
    roots = os.environ.get(INSTRUMENT.roots_variable) or ":".join(str(path) for path in project.level1_roots)
    own = project.root / ".contimg"
    stage = given.stage_base if os.environ.get("CONTIMG_STAGE_BASE") else own / "stage"
    data = given.data_base if os.environ.get("CONTIMG_DATA_BASE") else own / "data"
    layout = Layout(stage, data, {**given.overrides, INSTRUMENT.roots_variable: roots})
    if not roots and not layout.incoming.is_dir():
        text = f"{project.main.path} names no level-1 directory (level1_data_paths of DataAssess)"
        raise BadConfig(f"{text}; name one, or set {INSTRUMENT.roots_variable}")
    return layout


def _library(layout: Layout, console: Console) -> list[Found]:
    roots = [root for number, root in enumerate(layout.incoming_roots) if number or root.is_dir()]
    found, told = library(roots)
    for sentence in told:
        console.print(sentence, markup=False, soft_wrap=True)
    return found


@app.command()
def plan(
    main: Path = _MAIN,
    output: str = typer.Option("text", "-o", "--output", help="text, or yaml: the groups, for kubectl apply -f -."),
) -> None:
    """Show the groups that a main file means, what is published already, and the bytes to read."""
    if output not in {"text", "yaml"}:
        raise BadConfig(f"-o {output!r} is unknown; there are text and yaml")
    console = Console(stderr=True)
    project = open_project(main)
    names, layout = project.step_names(), _layout(project)
    found = _library(layout, console)
    for number, name in enumerate(names):
        step = project.step(number, found)
        _warn(step, console)
        for place, group in enumerate(step.groups):
            if output == "yaml":
                typer.echo(("" if number == place == 0 else "---\n") + _yaml(group), nl=False)
            else:
                typer.echo(f"{name}: {_line(group, layout)}")


def _warn(step: Step, console: Console) -> None:
    for sentence in step.warnings:
        console.print(f"warning: {sentence}", markup=False, soft_wrap=True)


def _line(group: Group, layout: Layout) -> str:
    spec = group.resource.spec
    maps = len(spec.stages.get("destripe", {}).get("maps", ()))
    done = "published before" if (layout.groups / f"{group.resource.name}.json").exists() else "new"
    words = [several(len(spec.observations.members), "observation"), f"{group.bytes / 1e9:.2f} GB of level 1"]
    return f"{group.resource.name}: {', '.join(words + [several(maps, 'map')] * bool(maps))}, {done}"


def _document(group: Group) -> dict[str, Any]:
    text = group.resource.model_dump_json(by_alias=True, exclude_defaults=True)
    said: dict[str, Any] = json.loads(text)
    return {"apiVersion": group.resource.api_version, "kind": group.resource.kind, **said}


def _yaml(group: Group) -> str:
    from io import StringIO  # noqa: PLC0415 - ruamel writes into streams only

    stream = StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.dump(_document(group), stream)
    return stream.getvalue()


@app.command()
def run(
    main: Path = _MAIN,
    jobs: int | None = JOBS,
    json_: bool = typer.Option(False, "--json", help="Print the result of each step as JSON."),
) -> None:
    """Run the steps of a main file in order, each to its end. Ctrl-C and start again goes on where it was."""
    console = Console(stderr=True)
    project = open_project(main)
    names, layout = project.step_names(), _layout(project)
    disk.check_writable(layout.incoming, "incoming of the project")
    for number, name in enumerate(names):
        step = project.step(number, _library(layout, console))
        _warn(step, console)
        paths = _written(step, project.root)
        options = LocalOptions(layout, paths, "none", jobs or processors())
        outcomes = run_files(options, console, quiet=json_)
        report(outcomes, console, json_=json_)
        for outcome in outcomes:
            degraded = outcome.status.condition("Degraded")
            if degraded is not None and degraded.status == "True":
                console.print(f"{outcome.group}: {degraded.message}", markup=False, soft_wrap=True)
        for group in step.groups:
            _appear(group, layout)
        code = exit_code(outcomes)
        if code:
            console.print(f"{name} did not end well; later steps wait", markup=False)
            raise typer.Exit(code)


def _written(step: Step, root: Path) -> tuple[Path, ...]:
    """Write the groups of a step; one that says the same as before keeps its file."""
    directory = disk.check_writable(root / ".contimg" / "groups", "groups of the project")
    found = []
    for group in step.groups:
        path, text = directory / f"{group.resource.name}.yaml", _yaml(group)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            disk.write(path, text)
        found.append(path)
    return tuple(found)


def _appear(group: Group, layout: Layout) -> None:
    """Let published maps appear where the parameter file says, too."""
    for name, directory in group.outputs.items():
        for path in sorted((layout.archive / "comap_maps").glob(f"*/{group.resource.name}/{name}"))[-1:]:
            directory.mkdir(parents=True, exist_ok=True)
            draft = directory / f".{name}.tmp"
            shutil.copyfile(path, draft)
            disk.rename(draft, directory / name)
