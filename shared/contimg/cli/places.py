"""The directories a looking command works on, and its connection to the indexes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contimg.keeper.queries import Queries
from contimg.keeper.readonly import open_readonly
from contimg.volume.layout import Layout

__all__ = ["DataBase", "StageBase", "indexes", "print_rows"]

PIPED = 4000
"""Columns where the output is no terminal: nothing is folded, so that grep finds whole paths."""

StageBase = typer.Option(None, "--stage-base", help="Fast staging disk; default: CONTIMG_STAGE_BASE.")
DataBase = typer.Option(None, "--data-base", help="Bulk disk; default: CONTIMG_DATA_BASE.")


@contextlib.contextmanager
def indexes(layout: Layout) -> Iterator[Queries]:
    """Open the indexes to look only; works beside a living keeper and after it.

    Raises
    ------
    BadConfig
        If nothing was run with these directories yet.
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


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, json_: bool) -> None:
    """Print rows as a table of some columns, or all of them as JSON."""
    if json_:
        typer.echo(json.dumps(list(rows), indent=2, default=str))
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    Console(width=None if Console().is_terminal else PIPED).print(table)
