"""``contimg run`` and ``contimg watch``: groups and surveys on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console

from contimg.cli.display import progress_display
from contimg.cli.places import layout_of
from contimg.cli.result import print_result, result_of
from contimg.errors import BadConfig
from contimg.host.local import LocalOptions, run_here
from contimg.host.outcome import Outcome
from contimg.host.yamlfile import load_resources
from contimg.machine import processors
from contimg.models.reason import Phase
from contimg.telemetry import configure_logging
from contimg.volume import disk

__all__ = ["JOBS", "exit_code", "report", "run", "run_files"]

EXIT = {Phase.PUBLISHED: 0, Phase.SUSPENDED: 0, Phase.UNPUBLISHED: 3, Phase.FAILED: 1}
"""Exit code by phase; anything else is waiting: 75 (try again later)."""
WORST = (1, 3, 75, 0)
"""Of several groups the first of these counts."""
JOBS = typer.Option(None, "--jobs", min=1, max=64, help="Tasks at a time, while memory lasts; default: the cores.")


@contextlib.contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: tasks are handed back, servers stopped."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_files(options: LocalOptions, console: Console, *, quiet: bool) -> list[Outcome]:
    """Run what the files of ``options.sources`` ask for and show progress.

    Raises
    ------
    contimg.errors.ContimgError
        If it cannot be started.
    """
    for path in options.sources:
        load_resources(path)  # a mistake is told before a directory is made
    os.environ.update(options.layout.as_environment())
    logs = disk.check_writable(options.layout.logs, "logs of the state directory")
    with (logs / "run.log").open("a", encoding="utf-8") as lines, _terminated_as_interrupt():
        configure_logging(json_lines=True, stream=lines)
        with progress_display(console, quiet=quiet) as show:
            return asyncio.run(run_here(options, show))


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return what the command ends with: that of the group that went worst."""
    codes = {EXIT.get(outcome.status.phase, 75) for outcome in outcomes}
    return next((code for code in WORST if code in codes), 0)


def report(outcomes: Sequence[Outcome], console: Console, *, json_: bool) -> None:
    """Print what came of the groups; as JSON an object, or a list when there were several."""
    results = [result_of(outcome) for outcome in outcomes]
    if json_:
        typer.echo(json.dumps(results[0] if len(results) == 1 else results, indent=2))
        return
    for outcome, result in zip(outcomes, results, strict=True):
        print_result(result, console)
        if outcome.status.phase is not Phase.PUBLISHED:
            console.print(outcome.status.message, markup=False, soft_wrap=True)


def run(
    groups: list[Path] = typer.Argument(help="YAML files with ObservationGroups."),
    stage_base: Path | None = typer.Option(None, help="Fast staging disk; default: CONTIMG_STAGE_BASE."),
    data_base: Path | None = typer.Option(None, help="Bulk disk; default: CONTIMG_DATA_BASE."),
    incoming: Path | None = typer.Option(None, help="Directory of the raw files; default: <data base>/incoming."),
    s3: str = typer.Option("none", help="Object store: URL with bucket, 'embedded' or 'none'."),
    jobs: int | None = JOBS,
    watch: bool = typer.Option(False, help="Wait for raw files that are still to come."),
    json_: bool = typer.Option(False, "--json", help="Print the result as JSON on standard output."),
) -> None:
    """Run groups on this machine: real bus, keeper, workers. Ctrl-C and start again goes on where it was.

    A file that is edited meanwhile is followed; one that is removed takes its groups out of the run.
    """
    for path in groups:
        if not path.is_file():
            raise BadConfig(f"{path} is not a file; name the YAML file of a group")
    layout = layout_of(stage_base, data_base, incoming)
    options = LocalOptions(layout, tuple(groups), s3, jobs or processors(), arriving=watch)
    console = Console(stderr=True)
    outcomes = run_files(options, console, quiet=json_)
    report(outcomes, console, json_=json_)
    raise typer.Exit(exit_code(outcomes))
