"""``contimg get``: lists of groups, runs, products, attempts, observations, quarantined files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date as calendar
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from contimg.cli.cluster import Cluster, Store
from contimg.cli.places import DataBase, StageBase, indexes, layout_of, print_rows
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.keeper.queries import LOST, Chosen
from contimg.models.manifest import AttemptState
from contimg.models.observation import ObservationState
from contimg.models.reason import Phase
from contimg.models.spec import nearest, specs
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
STATES: dict[str, tuple[str, ...]] = {
    "groups": tuple(Phase),
    "runs": ("staging", "released"),
    "products": ("staging", "published", "superseded", "released"),
    "attempts": (*AttemptState, LOST),
    "observations": tuple(ObservationState),
}
"""The states of what is listed; those of quarantined files are the reasons on record."""


def _groups(store: Store, chosen: Chosen) -> Iterator[Row]:
    if chosen.date:
        raise BadConfig("groups have no date; groups are chosen by group, stage, state")
    for name in store.names():
        row = _group(store, name)
        asked = ((chosen.group, row["group"]), (chosen.stage, row["stage"]), (chosen.state, row["phase"]))
        if name > chosen.after and all(word in {"", value} for word, value in asked):
            yield row


def _group(store: Store, name: str) -> Row:
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
    with indexes(layout) as queries:
        for row in queries.rows(noun, chosen):
            yield _dressed(noun, row)


def _dressed(noun: str, row: Row) -> Row:
    if noun == "products":
        return row | {"path": row["published_path"] or row["stage_path"]}
    return row | {"attempt": f"{row['task']}-{row['number']}"} if noun == "attempts" else row


def _checked(noun: str, chosen: Chosen) -> Chosen:
    """Return the wish as the records spell it; a word that no record can have is refused, not an empty list."""
    try:
        calendar.fromisoformat(chosen.date or "2000-01-01")
    except ValueError:
        raise BadConfig(f"--date {chosen.date!r} is no date; give YYYY-MM-DD, e.g. 2026-01-25") from None
    stage = _known("--stage", chosen.stage, specs()) if chosen.stage else ""
    state = _known("--state", chosen.state, STATES[noun]) if chosen.state and noun in STATES else chosen.state
    return replace(chosen, stage=stage, state=state)


def _known(option: str, word: str, words: Iterable[str]) -> str:
    """Return a word as it is known, however its letters are written."""
    known = {each.lower(): each for each in words}
    if word.lower() in known:
        return known[word.lower()]
    raise _unknown(option, word, known.values())


def _unknown(option: str, word: str, words: Iterable[str]) -> BadConfig:
    by_lower = {each.lower(): each for each in words}
    close = nearest(word.lower(), by_lower)
    return BadConfig(f"{option} {word!r} is none of {', '.join(by_lower.values()) or 'what is on record'}{close}")


def _told(rows: Iterator[Row], layout: Layout, store: Store, noun: str, chosen: Chosen) -> Iterator[Row]:
    """Give the rows; when there are none, find out whether that is because a name is misspelt."""
    first = next(rows, None)
    if first is not None:
        yield first
        yield from rows
    elif chosen.group and chosen.group not in (names := _group_names(layout, store, noun)):
        raise BadConfig(f"no group {chosen.group!r} is on record{nearest(chosen.group, names)}")
    elif chosen.state and noun == "quarantine" and (reasons := _reasons(layout)) and chosen.state not in reasons:
        raise _unknown("--state", chosen.state, sorted(reasons))


def _reasons(layout: Layout) -> set[str]:
    with indexes(layout) as queries:
        return queries.words("quarantine", "reason")


def _group_names(layout: Layout, store: Store, noun: str) -> set[str]:
    names = set(store.names())
    if noun != "groups":
        with indexes(layout) as queries:
            names.update(queries.words("runs", "group_id"), queries.words("attempts", "group_id"))
    return names


def get(  # noqa: PLR0913, PLR0917 - an option of the command is an argument
    ctx: typer.Context,
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
    known: bool = typer.Option(False, "--known", hidden=True, help="The group is known to an API server."),
) -> None:
    """List what is known here, row by row."""
    if noun not in COLUMNS:
        raise BadConfig(f"there are {', '.join(COLUMNS)}, and no list {noun!r}{nearest(noun, COLUMNS)}")
    layout = layout_of(stage_base, data_base)
    chosen = _checked(noun, Chosen(date, group, stage, state, after))
    cluster: Cluster | None = ctx.obj
    if cluster is not None and noun != "groups":
        cluster.hand_over(*(["--known"] if group and group in cluster.store().names() else []))
    store = ResourceStore(layout) if cluster is None else cluster.store()
    found = _groups(store, chosen) if noun == "groups" else _rows(layout, noun, chosen)
    rows = found if known else _told(found, layout, store, noun, chosen)
    print_rows(islice(rows, limit or None), COLUMNS[noun], json_=json_)
