"""``contimg tonight``: what arrived, runs, waits for what, failed and was published; only looks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contimg.cli.cluster import Cluster, Store
from contimg.cli.display import survey_lines
from contimg.cli.keeperpod import ask
from contimg.cli.places import DataBase, StageBase, indexes, layout_of
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.keeper.lock import holder
from contimg.keeper.queries import Chosen
from contimg.models.base import Model
from contimg.models.fact import IngestFact
from contimg.models.group import GroupStatus
from contimg.models.reason import Phase
from contimg.models.survey import SurveyStatus
from contimg.volume.layout import Layout

__all__ = ["Night", "look", "look_there", "tonight"]

NIGHT = timedelta(days=1)
LOOK_S = 2.0
"""Pause between two looks on a terminal."""
LOOK_THERE_S = 15.0
"""The same, of a cluster: each look starts a process beside the keeper."""
ENDED = {Phase.PUBLISHED, Phase.UNPUBLISHED, Phase.FAILED}


class Night(Model):
    """The last day of one state directory."""

    arrived: Counter[str]
    """Recordings that began within the last day, by state."""
    unsealed: tuple[str, ...]
    """File sets that are still being written, in sentences."""
    groups: dict[str, GroupStatus]
    """Those that are not ended, and those that ended within the last day."""
    surveys: dict[str, SurveyStatus]
    holder: str
    """Who works here; empty: nobody."""
    removed: frozenset[str] = frozenset()
    """Groups that are not ended and whose file is gone: nobody wants them any more."""

    def phase(self, name: str) -> str:
        """Return where a group stands, in one word."""
        return "Removed" if name in self.removed else str(self.groups[name].phase)


def look_there(cluster: Cluster, now: datetime) -> Night:
    """Look once at a cluster: its API server knows groups and surveys, its keeper the recordings."""
    store = cluster.store()
    told, code = ask(cluster.kube, ["tonight", "--json"])
    if code:
        raise typer.Exit(code)
    return Night.model_validate_json(told).model_copy(
        update={"groups": _groups(store, now), "surveys": _surveys(store)}
    )


def look(layout: Layout, now: datetime) -> Night:
    """Look once; nothing is written, whoever works here is not disturbed."""
    store = ResourceStore(layout)
    groups = _groups(store, now)
    removed = frozenset(name for name, item in groups.items() if item.phase not in ENDED and store.is_removed(name))
    return Night(
        arrived=Counter(_arrived(layout, now)),
        unsealed=_unsealed(layout),
        groups=groups,
        surveys=_surveys(store),
        holder=holder(layout),
        removed=removed,
    )


def _groups(store: Store, now: datetime) -> dict[str, GroupStatus]:
    return {name: status for name in store.names() if (status := store.status(name)) and _is_of(status, now)}


def _surveys(store: Store) -> dict[str, SurveyStatus]:
    return {name: found for name in store.surveys() if (found := store.survey_status(name))}


def _is_of(status: GroupStatus, now: datetime) -> bool:
    if status.phase not in ENDED:
        return True
    return status.finished is not None and now - status.finished <= NIGHT


def _arrived(layout: Layout, now: datetime) -> Iterator[str]:
    dates = sorted({(now - NIGHT).date().isoformat(), now.date().isoformat()})
    try:
        with indexes(layout) as queries:
            for date in dates:
                for row in queries.rows("observations", Chosen(date=date)):
                    if datetime.fromisoformat(str(row["start"])) >= now - NIGHT:
                        yield str(row["state"])
    except BadConfig:  # nothing was run here yet
        return


def _unsealed(layout: Layout) -> tuple[str, ...]:
    try:
        fact = IngestFact.model_validate_json(layout.ingest_fact.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return tuple(f"{item.start:%H:%M:%S} {item.sentence}" for item in fact.unsealed)


def _headline(night: Night) -> str:
    phases = Counter(night.phase(name).lower() for name in night.groups)
    groups = ", ".join(f"{number} {phase}" for phase, number in sorted(phases.items())) or "none"
    incomplete = f" ({night.arrived['incomplete']} incomplete)" if night.arrived["incomplete"] else ""
    arrived = f"{night.arrived.total()} recordings{incomplete}, {len(night.unsealed)} still being written"
    return (
        f"last 24 h: {arrived}; groups: {groups}; {'at work: ' + night.holder if night.holder else 'nobody is at work'}"
    )


def _running(status: GroupStatus) -> str:
    return ", ".join(f"{item.running} {item.stage}" for item in status.stages if item.running)


def _table(night: Night) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("group", "phase", "progress", "running", "failed", "verdict", "says"):
        table.add_column(column, overflow="fold" if column == "says" else "ellipsis")
    for name, status in sorted(night.groups.items(), key=lambda item: (item[1].phase in ENDED, item[0])):
        failed = sum(item.failed for item in status.stages)
        progress = f"{status.stage} {status.progress}".strip()
        cells = (name, night.phase(name), progress, _running(status), str(failed or ""), str(status.verdict or ""))
        says = "its file was removed, so nothing is asked for" if name in night.removed else status.message
        table.add_row(*map(Text, (*cells, says)))
    return table


def _view(night: Night) -> Group:
    parts: list[RenderableType] = [Text(_headline(night)), *survey_lines(night.surveys)]
    parts += [Text(f"  being written: {sentence}") for sentence in night.unsealed]
    return Group(*parts, _table(night)) if night.groups else Group(*parts)


def tonight(
    ctx: typer.Context,
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
    json_: bool = typer.Option(False, "--json", help="Print as JSON, once."),
) -> None:
    """Show the last 24 hours: what arrived, runs, waits for what, failed, was published.

    On a terminal it is shown anew until Ctrl-C, also while another process works here; elsewhere once.
    """
    cluster: Cluster | None = ctx.obj
    layout = layout_of(stage_base, data_base)
    console = Console(soft_wrap=True)

    def night() -> Night:
        now = datetime.now(UTC)
        return look(layout, now) if cluster is None else look_there(cluster, now)

    if json_:
        typer.echo(night().model_dump_json(indent=2, by_alias=True))
    elif not console.is_terminal:
        Console(width=4000, highlight=False).print(_view(night()))
    else:
        _live(night, console, LOOK_S if cluster is None else LOOK_THERE_S)


def _live(night: Callable[[], Night], console: Console, pause_s: float) -> None:
    with Live(console=console, screen=False, auto_refresh=False) as live:
        while True:
            live.update(_view(night()), refresh=True)
            time.sleep(pause_s)
