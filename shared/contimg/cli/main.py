"""Entry point of the ``contimg`` command: commands, exit codes, one sentence per error."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from contimg import __version__
from contimg.cli import demo, doctor, get, pipeline, replay, run, schema, show, simulate, stage, trace
from contimg.errors import ContimgError
from contimg.telemetry import configure_logging

__all__ = ["app", "main"]

INTERRUPTED = 130
"""What typer makes of Ctrl-C."""

app = typer.Typer(
    name="contimg",
    help="Raw radio-telescope files into published sky products.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo")(demo.demo)
app.add_typer(simulate.app, name="simulate")
app.command("run")(run.run)
app.command("why")(show.why)
app.command("get")(get.get)
app.command("show")(show.show)
app.command("trace")(trace.trace)
app.command("log")(show.log)
app.command("replay")(replay.replay)
app.command("doctor")(doctor.doctor)
app.command("stage", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(stage.stage)
app.add_typer(pipeline.app, name="pipeline")
app.command("schema")(schema.schema)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"contimg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Raw radio-telescope files into published sky products."""


def main() -> None:
    """Run the command line; an error of ours ends it with one sentence and the exit code of its class."""
    configure_logging(json_lines=False)
    try:
        app()
    except ContimgError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"contimg: {error}", markup=False)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            Console(stderr=True, soft_wrap=True).print("contimg: interrupted; start the same command again to go on")
        raise
