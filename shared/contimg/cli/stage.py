"""``contimg stage``: one stage by hand on files, without a group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from contimg.cli.places import checked_place
from contimg.errors import BadConfig
from contimg.models.spec import effective, nearest, spec_of
from contimg.worker.byhand import run_by_hand

__all__ = ["parse", "stage"]


def _key(word: str, known: list[str]) -> str:
    key = word.removeprefix("--").replace("-", "_")
    if key not in known:
        raise BadConfig(f"'contimg schema STAGE' lists the parameters, there is no {word!r}{nearest(key, known)}")
    return key


def parse(words: list[str], known: list[str]) -> tuple[list[Path], dict[str, Any]]:
    """Split the words after the stage's name into files and parameters (``--key=value`` or ``--key value``).

    Raises
    ------
    BadConfig
        If a parameter is unknown, has no value, or a file does not exist.
    """
    files, params, rest = [], {}, list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            files.append(Path(word))
            continue
        name, has_value, value = word.partition("=")
        key = _key(name, known)
        if not has_value and not rest:
            raise BadConfig(f"parameter {name!r} has no value; write {name}=VALUE")
        params[key] = _value(name, value if has_value else rest.pop(0))
    for path in files:
        if "\0" in str(path) or not checked_place(path, "input").exists():
            raise BadConfig(f"input {str(path)!r} does not exist")
    return files, params


def _value(name: str, text: str) -> Any:
    """Return a parameter's value as YAML reads it."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise BadConfig(f"parameter {name!r} = {text[:60]!r} cannot be read as a value; quote it") from error


def stage(
    context: typer.Context,
    name: str = typer.Argument(help="Stage, e.g. image."),
    out: Path | None = typer.Option(None, help="New directory for the result; default: ./<stage>-<input>."),
) -> None:
    """Run one stage on files: contimg stage NAME INPUT… [--param=value]. 'contimg schema NAME' lists its parameters."""
    spec = spec_of(name)
    files, params = parse(context.args, list(spec.params.model_fields))
    if not files:
        raise BadConfig(f"stage {name!r} needs input files, e.g. contimg stage image X_cal.ms --robust=0.5")
    effective(spec, params)
    target = checked_place(out or Path(f"{name}-{files[0].resolve().name.split('.')[0]}"), "directory")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    manifest = run_by_hand(name, files, params, target)
    for product in manifest.products:
        typer.echo(target / product.path)
    for figure in manifest.figures:
        value = "not measured" if figure.value is None else f"{figure.value:.6g} {figure.unit}".strip()
        console.print(
            f"{figure.name} = {value}" + (f"  ({figure.limit}: {figure.verdict})" if figure.limit else ""), markup=False
        )
    console.print(f"verdict {manifest.verdict}", markup=False)
