"""Live progress of a run: one line per stage with true counts, and what is at work now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contimg.host.local import Progress
from contimg.models.group import GroupStatus

__all__ = ["progress_display", "status_table"]


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


def _view(progress: Progress) -> Group:
    lines = [Text(f"  {name}: {words}") for name, words in sorted(progress.running.items())]
    return Group(status_table(progress.status), Text(progress.status.message), *lines)


def _plain(console: Console) -> Callable[[Progress], None]:
    last = ""

    def show(progress: Progress) -> None:
        nonlocal last
        status = progress.status
        line = f"{status.phase} {status.stage} {status.progress} {status.message}".strip()
        if line != last:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            last = line

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
