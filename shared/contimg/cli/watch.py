"""``contimg watch``: a survey on this machine, until it is interrupted."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from contimg.cli.places import layout_of
from contimg.cli.run import JOBS, run_files
from contimg.errors import BadConfig
from contimg.host.local import LocalOptions
from contimg.host.yamlfile import load_resources
from contimg.machine import processors
from contimg.models.survey import Survey

__all__ = ["watch"]


def watch(
    surveys: list[Path] = typer.Argument(help="YAML files with Surveys; groups in them are run too."),
    stage_base: Path | None = typer.Option(None, help="Fast staging disk; default: CONTIMG_STAGE_BASE."),
    data_base: Path | None = typer.Option(None, help="Bulk disk; default: CONTIMG_DATA_BASE."),
    incoming: Path | None = typer.Option(None, help="Directory of the raw files; default: <data base>/incoming."),
    s3: str = typer.Option("none", help="Object store: URL with bucket, 'embedded' or 'none'."),
    jobs: int | None = JOBS,
) -> None:
    """Form groups as files arrive and publish them, until Ctrl-C; name the recordings that are in no group.

    Every group gets a YAML file below <state>/resources, which may be edited like any other.
    """
    if not any(isinstance(item.resource, Survey) for path in surveys for item in load_resources(path)):
        raise BadConfig(f"{surveys[0]} holds no Survey; groups are run by: contimg run {surveys[0]}")
    layout = layout_of(stage_base, data_base, incoming)
    options = LocalOptions(layout, tuple(surveys), s3, jobs or processors(), arriving=True, lasting=True)
    run_files(options, Console(stderr=True), quiet=False)
