"""The directories a looking command works on, and its connection to the indexes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from contimg.keeper.queries import Queries
from contimg.keeper.readonly import open_readonly
from contimg.layout import Layout

__all__ = ["DataBase", "StageBase", "indexes", "print_rows"]

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


def print_rows(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, json_: bool) -> None:
    """Print rows as a table of some columns, or all of them as JSON."""
    if json_:
        typer.echo(json.dumps(list(rows), indent=2, default=str))
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(column) is None else str(row[column]) for column in columns))
    wide = None if Console().is_terminal else 200
    Console(width=wide).print(table)
