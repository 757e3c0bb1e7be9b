"""``contimg run``: a group on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console

from contimg.cli.display import progress_display
from contimg.cli.result import print_result, result_of
from contimg.errors import BadConfig
from contimg.host.local import LocalOptions, run_group
from contimg.host.outcome import Outcome
from contimg.host.yamlfile import load_group
from contimg.telemetry import configure_logging
from contimg.volume.files import make_directory
from contimg.volume.layout import Layout

__all__ = ["exit_code", "layout_of", "run", "run_file"]

EXIT = {"Published": 0, "Suspended": 0, "Unpublished": 3, "Failed": 1}
"""Exit code by phase; anything else is waiting: 75 (try again later)."""


def layout_of(stage_base: Path | None, data_base: Path | None, incoming: Path | None) -> Layout:
    """Return the directories: the environment's, but for what was given on the command line.

    A base given by hand also moves what lies below it, so the variables of single directories are then ignored, but
    for that of the catalogs: reference data do not belong to a base.
    """
    layout = Layout.from_environment()
    if stage_base is not None or data_base is not None:
        kept = {name: path for name, path in layout.overrides.items() if name == "CONTIMG_CATALOG_DIR"}
        layout = Layout((stage_base or layout.stage_base).absolute(), (data_base or layout.data_base).absolute(), kept)
    if incoming is not None:
        layout = replace(layout, overrides={**layout.overrides, "CONTIMG_INCOMING_DIR": str(incoming.absolute())})
    return layout


@contextlib.contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: tasks are handed back, servers stopped."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_file(options: LocalOptions, console: Console, *, quiet: bool) -> Outcome:
    """Run the group of ``options.source`` and show progress.

    Raises
    ------
    contimg.errors.ContimgError
        If it cannot be started.
    """
    group, pipeline = load_group(options.source)
    os.environ.update(options.layout.as_environment())
    logs = make_directory(options.layout.logs, "logs of the state directory")
    with (logs / "run.log").open("a") as lines, _terminated_as_interrupt():
        configure_logging(json_lines=True, stream=lines)
        with progress_display(console, quiet=quiet) as watcher:
            return asyncio.run(run_group(group, pipeline, options, watcher))


def exit_code(outcome: Outcome) -> int:
    """Return what the command ends with."""
    return EXIT.get(outcome.status.phase, 75)


def run(
    group: Path = typer.Argument(help="YAML file with an ObservationGroup."),
    stage_base: Path | None = typer.Option(None, help="Fast staging disk; default: CONTIMG_STAGE_BASE."),
    data_base: Path | None = typer.Option(None, help="Bulk disk; default: CONTIMG_DATA_BASE."),
    incoming: Path | None = typer.Option(None, help="Directory of the raw files; default: <data base>/incoming."),
    s3: str = typer.Option("none", help="Object store: URL with bucket, 'embedded' or 'none'."),
    jobs: int = typer.Option(1, min=1, max=64, help="Heavy tasks at a time."),
    watch: bool = typer.Option(False, help="Wait for raw files that are still to come."),
    json_: bool = typer.Option(False, "--json", help="Print the result as JSON on standard output."),
) -> None:
    """Run a group on this machine: real bus, keeper, workers. Ctrl-C and start again goes on where it was."""
    if not group.is_file():
        raise BadConfig(f"{group} is not a file; name the YAML file of a group")
    options = LocalOptions(layout_of(stage_base, data_base, incoming), group, s3, jobs, watch)
    console = Console(stderr=True)
    outcome = run_file(options, console, quiet=json_)
    result = result_of(outcome)
    if json_:
        typer.echo(json.dumps(result, indent=2))
    else:
        print_result(result, console)
    if outcome.status.phase != "Published":
        console.print(outcome.status.message, markup=False, soft_wrap=True)
    raise typer.Exit(exit_code(outcome))
