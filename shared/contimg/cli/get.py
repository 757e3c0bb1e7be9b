"""``contimg get``: lists of groups, products, attempts, observations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from contimg.cli.places import DataBase, StageBase, indexes, print_rows
from contimg.cli.run import layout_of
from contimg.errors import BadConfig
from contimg.host.files import Shelf
from contimg.models.params import nearest
from contimg.volume.layout import Layout

__all__ = ["NOUNS", "get"]

Rows = list[dict[str, Any]]


def _groups(layout: Layout) -> Rows:
    shelf = Shelf(layout)
    rows = []
    for name in shelf.names():
        group, source = shelf.get(name)
        status = shelf.status(name)
        rows.append(
            {
                "group": name,
                "pipeline": group.spec.pipeline,
                "phase": status.phase if status else "",
                "stage": status.stage if status else "",
                "progress": status.progress if status else "",
                "verdict": str(status.verdict or "") if status else "",
                "message": status.message if status else "",
                "source": str(source),
            }
        )
    return rows


def _products(layout: Layout) -> Rows:
    with indexes(layout) as queries:
        rows = queries.products()
    return [row | {"path": row["published_path"] or row["stage_path"]} for row in rows]


def _attempts(layout: Layout) -> Rows:
    with indexes(layout) as queries:
        rows = queries.attempts()
    return [row | {"attempt": f"{row['task']}-{row['number']}"} for row in rows]


def _observations(layout: Layout) -> Rows:
    with indexes(layout) as queries:
        return queries.observations()


def _quarantine(layout: Layout) -> Rows:
    with indexes(layout) as queries:
        return queries.quarantined()


NOUNS: dict[str, tuple[Callable[[Layout], Rows], tuple[str, ...]]] = {
    "groups": (_groups, ("group", "pipeline", "phase", "stage", "progress", "verdict", "message")),
    "products": (_products, ("data_type", "data_id", "role", "status", "verdict", "path")),
    "attempts": (_attempts, ("attempt", "stage", "unit", "state", "error", "message")),
    "observations": (
        _observations,
        ("id", "telescope", "state", "role", "source", "found", "expected", "dec_deg", "reasons"),
    ),
    "quarantine": (_quarantine, ("time", "reason", "sentence")),
}
"""What can be listed: how, and the columns of the table."""


def get(
    noun: str = typer.Argument(help="groups, products, attempts, observations or quarantine."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
    json_: bool = typer.Option(False, "--json", help="Print all columns as JSON."),
) -> None:
    """List what is known here."""
    if noun not in NOUNS:
        raise BadConfig(f"there are {', '.join(NOUNS)}, and no list {noun!r}{nearest(noun, NOUNS)}")
    rows, columns = NOUNS[noun]
    print_rows(rows(layout_of(stage_base, data_base, None)), columns, json_=json_)
