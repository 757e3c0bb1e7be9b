"""Live progress: of one group a line per stage with true counts, of several a line per group, and what is at work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contimg.models.group import GroupStatus
from contimg.models.survey import SurveyStatus

if TYPE_CHECKING:
    from contimg.host.local import Progress  # brings the bus and the servers: not for commands that only look

__all__ = ["group_table", "progress_display", "status_table", "survey_lines"]

SHOWN = 10
"""Ungrouped recordings that a display names; the latest ones."""


def status_table(status: GroupStatus) -> Table:
    """Return the stage list as a table."""
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "done", "running", "failed", "seconds", "verdict"):
        table.add_column(column, justify="left" if column in {"stage", "verdict"} else "right")
    for item in status.stages:
        verdict = str(item.verdict or "")
        counts = (f"{item.done}/{item.total}", str(item.running or ""), str(item.failed or ""))
        table.add_row(item.stage, *counts, f"{item.seconds:.1f}" if item.seconds else "", verdict)
    return table


def group_table(groups: Mapping[str, GroupStatus]) -> Table:
    """Return one line per group: where it stands and what it waits for."""
    table = Table(box=None, pad_edge=False)
    for column in ("group", "phase", "stage", "progress", "verdict", "message"):
        table.add_column(column, overflow="fold" if column == "message" else "ellipsis")
    for name, status in sorted(groups.items()):
        cells = (name, str(status.phase), status.stage, status.progress, str(status.verdict or ""), status.message)
        table.add_row(*map(Text, cells))
    return table


def survey_lines(surveys: Mapping[str, SurveyStatus]) -> list[Text]:
    """Return what each survey says, and the latest recordings that are in no group, with their reasons."""
    lines = []
    for name, status in sorted(surveys.items()):
        lines.append(Text(f"survey {name}: {status.phase}: {status.message}"))
        lines += [Text(f"  {item.observation} is in no group: {item.reason}") for item in status.ungrouped[-SHOWN:]]
    return lines


def _view(progress: Progress) -> Group:
    running = [Text(f"  {name}: {words}") for name, words in sorted(progress.running.items())]
    parts: list[RenderableType] = [*survey_lines(progress.surveys)]
    if len(progress.groups) == 1 and not progress.surveys:
        (status,) = progress.groups.values()
        parts += [status_table(status), Text(status.message)]
    else:
        parts.append(group_table(progress.groups))
    return Group(*parts, *running, *map(Text, progress.told))


def _plain_lines(progress: Progress) -> Iterator[tuple[str, str]]:
    """Return every line with what it is about: it is printed when that says something new."""
    alone = len(progress.groups) == 1 and not progress.surveys
    for name, status in progress.groups.items():
        words = f"{status.phase} {status.stage} {status.progress} {status.message}".strip()
        yield name, words if alone else f"{name}: {words}"
    for line in survey_lines(progress.surveys):
        yield line.plain, line.plain
    for sentence in progress.told:
        yield sentence, sentence


def _plain(console: Console) -> Callable[[Progress], None]:
    last: dict[str, str] = {}

    def show(progress: Progress) -> None:
        for about, line in _plain_lines(progress):
            if last.get(about) != line:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
                last[about] = line

    return show


@contextlib.contextmanager
def progress_display(console: Console, *, quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """Give a function that shows progress: a live table on a terminal, a line per change elsewhere."""
    if quiet:
        yield lambda _: None
    elif not console.is_terminal:
        yield _plain(console)
    else:
        with Live(console=console, refresh_per_second=4) as live:
            yield lambda progress: live.update(_view(progress))
