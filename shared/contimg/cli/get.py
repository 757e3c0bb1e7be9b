"""``contimg get``: lists of groups, runs, products, attempts, observations, quarantined files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from contimg.cli.places import DataBase, StageBase, indexes, layout_of, print_rows
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.keeper.queries import Chosen
from contimg.models.spec import nearest
from contimg.volume.layout import Layout

__all__ = ["COLUMNS", "get"]

Row = dict[str, Any]
COLUMNS: dict[str, tuple[str, ...]] = {
    "groups": ("group", "pipeline", "phase", "stage", "progress", "verdict", "message"),
    "runs": ("task", "stage", "unit", "group_id", "verdict", "state", "finished"),
    "products": ("data_type", "data_id", "role", "state", "verdict", "path"),
    "attempts": ("attempt", "stage", "unit", "state", "error", "message"),
    "observations": ("id", "instrument", "state", "role", "source", "found", "expected", "dec_deg", "reasons"),
    "quarantine": ("time", "reason", "sentence"),
}
"""What can be listed, and the columns of its table."""


def _groups(layout: Layout, chosen: Chosen) -> Iterator[Row]:
    if chosen.date:
        raise BadConfig("groups have no date; groups are chosen by group, stage, state")
    store = ResourceStore(layout)
    for name in store.names():
        row = _group(store, name)
        asked = ((chosen.group, row["group"]), (chosen.stage, row["stage"]), (chosen.state, row["phase"]))
        if name > chosen.after and all(word.lower() in {"", value.lower()} for word, value in asked):
            yield row


def _group(store: ResourceStore, name: str) -> Row:
    """Return what is known of a group; one whose record is damaged says so and hides no other."""
    try:
        group, source = store.get(name)
        row = {"pipeline": group.spec.pipeline, "source": str(source)}
    except BadConfig as error:
        row = {"pipeline": "", "source": "", "message": str(error)}
    status = store.status(name)
    shown = {"phase": "", "stage": "", "progress": "", "verdict": "", "message": ""}
    if status is not None:
        known = {key: getattr(status, key) for key in shown}
        shown = {key: str(value or "") for key, value in known.items()}
    return {"group": name, **shown, **row, "key": name}


def _rows(layout: Layout, noun: str, chosen: Chosen) -> Iterator[Row]:
    if noun == "groups":
        yield from _groups(layout, chosen)
        return
    with indexes(layout) as queries:
        for row in queries.rows(noun, chosen):
            yield _dressed(noun, row)


def _dressed(noun: str, row: Row) -> Row:
    if noun == "products":
        return row | {"path": row["published_path"] or row["stage_path"]}
    return row | {"attempt": f"{row['task']}-{row['number']}"} if noun == "attempts" else row


def get(  # noqa: PLR0913, PLR0917 - an option of the command is an argument
    noun: str = typer.Argument(help=f"One of {', '.join(COLUMNS)}."),
    date: str = typer.Option("", help="Only of this date of the data, YYYY-MM-DD."),
    group: str = typer.Option("", help="Only of this group."),
    stage: str = typer.Option("", help="Only of this stage."),
    state: str = typer.Option("", help="Only in this state, e.g. failed, published, sealed, Running."),
    limit: int = typer.Option(0, min=0, help="At most so many rows; 0: all."),
    after: str = typer.Option("", help="Go on after the row with this key (see --json)."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
    json_: bool = typer.Option(False, "--json", help="Print all columns as JSON."),
) -> None:
    """List what is known here, row by row."""
    if noun not in COLUMNS:
        raise BadConfig(f"there are {', '.join(COLUMNS)}, and no list {noun!r}{nearest(noun, COLUMNS)}")
    rows = _rows(layout_of(stage_base, data_base), noun, Chosen(date, group, stage, state, after))
    print_rows(islice(rows, limit or None), COLUMNS[noun], json_=json_)
