"""What commands that look have in common: directories, names, the indexes, tables."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contimg.errors import BadConfig
from contimg.keeper.queries import Queries
from contimg.keeper.readonly import open_readonly
from contimg.models.instrument import instruments
from contimg.settings import Settings
from contimg.volume.layout import Layout

__all__ = ["DataBase", "StageBase", "checked_name", "checked_place", "indexes", "is_yaml", "layout_of", "print_rows"]

PIPED = 4000
"""Columns where the output is no terminal: nothing is folded, so that grep finds whole paths."""
BATCH = 500
"""Rows that are laid out together; more never lie in memory."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,127}")

StageBase = typer.Option(None, "--stage-base", help="Fast staging disk; default: CONTIMG_STAGE_BASE.")
DataBase = typer.Option(None, "--data-base", help="Bulk disk; default: CONTIMG_DATA_BASE.")


def layout_of(stage_base: Path | None, data_base: Path | None, incoming: Path | None = None) -> Layout:
    """Return the directories: the environment's, but for what was given on the command line.

    A base given by hand also moves what lies below it, so the variables of single directories are then ignored, but
    for those of the catalogs and of raw files that are read in place: they do not belong to a base.

    Raises
    ------
    BadConfig
        If a name cannot be that of a directory, or a ``CONTIMG_*`` variable is misspelt.
    """
    _check_paths(stage_base, data_base, incoming)
    Settings.from_environment()  # a variable that is not understood would move nothing, and nobody would say so
    layout = Layout.from_environment()
    if stage_base is not None or data_base is not None:
        elsewhere = {"CONTIMG_CATALOG_DIR", *(each.roots_variable for each in instruments().values())}
        kept = {name: path for name, path in layout.overrides.items() if name in elsewhere}
        layout = Layout((stage_base or layout.stage_base).absolute(), (data_base or layout.data_base).absolute(), kept)
    if incoming is not None:
        layout = replace(layout, overrides={**layout.overrides, "CONTIMG_INCOMING_DIR": str(incoming.absolute())})
    return layout


def _check_paths(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and "\0" in str(path):
            raise BadConfig(f"{str(path)!r} cannot be the name of a directory: it holds a zero byte")


def checked_name(word: str, what: str) -> str:
    """Return a word that can be the name of a group, a task or an observation.

    Raises
    ------
    BadConfig
        If it cannot: it is empty, too long, or looks like a path or a pattern.
    """
    if NAME.fullmatch(word):
        return word
    shown = repr(word if len(word) <= 60 else f"{word[:60]}…")
    raise BadConfig(
        f"{shown} is no {what}: that is 1 to 128 letters, digits and ':._-'; 'contimg get' lists what is here"
    )


def checked_place(path: Path, what: str) -> Path:
    """Return the path of a file or directory that stages will be given.

    Raises
    ------
    BadConfig
        If it has a ``$`` in it, which casacore takes for a variable.
    """
    if "$" in str(path.absolute()):
        raise BadConfig(f"{what} {path} has a '$' in its name, which programs take for a variable; rename it")
    return path


def is_yaml(word: str) -> bool:
    """Whether a word is the name of a YAML file rather than that of a group."""
    return Path(word).suffix in {".yaml", ".yml"}


@contextlib.contextmanager
def indexes(layout: Layout) -> Iterator[Queries]:
    """Open the indexes to look only; works beside a living keeper and after it.

    Raises
    ------
    BadConfig
        If nothing was run with these directories yet.
    Damaged
        If a database must be made anew by a keeper first.
    """
    queries = open_readonly(layout)
    try:
        yield queries
    finally:
        queries.index.close()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _print_table(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, head: bool) -> None:
    table = Table(box=None, pad_edge=False, show_header=head)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    Console(width=None if Console().is_terminal else PIPED).print(table)


def _print_json(rows: Iterable[dict[str, Any]]) -> None:
    opening = "["
    for row in rows:
        typer.echo(f"{opening}\n{json.dumps(row, indent=2, default=str)}", nl=False)
        opening = ","
    typer.echo("[]" if opening == "[" else "\n]")


def print_rows(rows: Iterable[dict[str, Any]], columns: Sequence[str], *, json_: bool) -> None:
    """Print rows as they come: some columns as a table, or all of them as JSON."""
    if json_:
        _print_json(rows)
        return
    source = iter(rows)
    batch = list(islice(source, BATCH))
    _print_table(batch, columns, head=True)
    while batch := list(islice(source, BATCH)):
        _print_table(batch, columns, head=False)
