"""``contimg tonight``: what arrived, runs, waits for what, failed and was published; only looks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contimg.cli.display import survey_lines
from contimg.cli.places import DataBase, StageBase, indexes, layout_of
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.keeper.lock import holder
from contimg.keeper.queries import Chosen
from contimg.models.fact import IngestFact
from contimg.models.group import GroupStatus
from contimg.models.reason import Phase
from contimg.models.survey import SurveyStatus
from contimg.volume.layout import Layout

__all__ = ["Night", "look", "tonight"]

NIGHT = timedelta(days=1)
LOOK_S = 2.0
"""Pause between two looks on a terminal."""
ENDED = {Phase.PUBLISHED, Phase.UNPUBLISHED, Phase.FAILED}


@dataclass(frozen=True)
class Night:
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


def look(layout: Layout, now: datetime) -> Night:
    """Look once; nothing is written, whoever works here is not disturbed."""
    store = ResourceStore(layout)
    groups = {name: status for name in store.names() if (status := store.status(name)) and _is_of(status, now)}
    surveys = {name: found for name in store.surveys() if (found := store.survey_status(name))}
    return Night(Counter(_arrived(layout, now)), _unsealed(layout), groups, surveys, holder(layout))


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
    phases = Counter(str(status.phase).lower() for status in night.groups.values())
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
        cells = (name, str(status.phase), progress, _running(status), str(failed or ""), str(status.verdict or ""))
        table.add_row(*map(Text, (*cells, status.message)))
    return table


def _view(night: Night) -> Group:
    parts: list[RenderableType] = [Text(_headline(night)), *survey_lines(night.surveys)]
    parts += [Text(f"  being written: {sentence}") for sentence in night.unsealed]
    return Group(*parts, _table(night)) if night.groups else Group(*parts)


def tonight(stage_base: Path | None = StageBase, data_base: Path | None = DataBase) -> None:
    """Show the last 24 hours: what arrived, runs, waits for what, failed, was published.

    On a terminal it is shown anew until Ctrl-C, also while another process works here; elsewhere once.
    """
    layout = layout_of(stage_base, data_base)
    console = Console(soft_wrap=True)
    if not console.is_terminal:
        Console(width=4000, highlight=False).print(_view(look(layout, datetime.now(UTC))))
        return
    with Live(console=console, screen=False, auto_refresh=False) as live:
        while True:
            live.update(_view(look(layout, datetime.now(UTC))), refresh=True)
            time.sleep(LOOK_S)
