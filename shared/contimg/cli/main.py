"""Entry point of the ``contimg`` command: commands, exit codes, one sentence per error.

A command's module is imported when the command is run: ``contimg --help`` must not wait for science.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from typing import Any

import typer
from typer.core import TyperGroup

from contimg import __version__
from contimg.cli import surroundings
from contimg.errors import BadConfig, ContimgError, ResourceExhausted

__all__ = ["COMMANDS", "app", "main"]

INTERRUPTED = 130
"""What typer makes of Ctrl-C."""
LONGEST = 2000
"""Characters of a sentence; the middle of a longer one is left out."""
HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True)
class Command:
    """Where a command is, and what the list of commands says about it."""

    target: str
    """``module:name`` below ``contimg.cli``: a function, or a typer application with commands of its own."""
    help: str
    settings: dict[str, Any] = field(default_factory=dict)


COMMANDS = {
    "demo": Command("demo:demo", "Run a real VLA observation of NGC 5921 through the nine stages."),
    "simulate": Command("simulate:simulate", "Make raw files of an instrument, with known truth beside them."),
    "run": Command("run:run", "Run groups on this machine; Ctrl-C and start again goes on where it was."),
    "watch": Command("watch:watch", "Follow a survey: form groups as files arrive and publish them, until Ctrl-C."),
    "tonight": Command("tonight:tonight", "Show what arrived, runs, waits, failed and was published in the last day."),
    "why": Command("show:why", "Say in words what a group waits for, or what became of it."),
    "get": Command("get:get", "List groups, products, attempts, observations or quarantined files."),
    "show": Command("show:show", "Show one group, run or observation in full."),
    "trace": Command("trace:trace", "Say where files come from: every run on the way back to the raw files."),
    "log": Command("show:log", "Print what an attempt printed."),
    "verify": Command("verify:verify", "Repeat the committed tasks of a group and name every byte that differs."),
    "replay": Command("replay:replay", "Raise spec.replay in a group's YAML file: failed tasks get new tries."),
    "doctor": Command("doctor:doctor", "Check this machine: programs, packages, CASA's data, directories."),
    "stage": Command(
        "stage:stage",
        "Run one stage on files, without a group.",
        {"allow_extra_args": True, "ignore_unknown_options": True},
    ),
    "comap": Command("comap:app", "COMAP projects: run.py and parameter_files/*.toml."),
    "pipeline": Command("pipeline:app", "Pipelines: ordered graphs of stages."),
    "schema": Command("schema:schema", "Print the JSON schema of a contract, or of a stage's parameters."),
}
"""In the order in which ``contimg --help`` lists them."""
LOOKING = ("tonight", "why", "get", "show", "trace", "log", "replay")
"""Those that work on a cluster too."""


def _loaded(name: str) -> Any:
    """Import a command and return it as typer's group runs it."""
    command = COMMANDS[name]
    module, _, attribute = command.target.partition(":")
    target = getattr(importlib.import_module(f"contimg.cli.{module}"), attribute)
    if "structlog" in sys.modules:
        from contimg.telemetry import configure_logging  # noqa: PLC0415 - only for commands that log at all

        configure_logging(json_lines=False)
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name, context_settings=HELP_OPTIONS | command.settings)(target)
    return typer.main.get_command(alone)


class _Commands(TyperGroup):
    """Knows the names and one line of every command, and imports the one that is run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Put the command itself in the place of its line in the list; what it looks at is the context's object."""
        name, listed, rest = super().resolve_command(ctx, args)
        context, namespace = ctx.params["context"], ctx.params["namespace"]
        if name in COMMANDS and (context is not None or namespace is not None):
            ctx.obj = _cluster(name, context or "", namespace or "", rest)
        return name, _loaded(name) if name in COMMANDS else listed, rest


def _cluster(name: str, context: str, namespace: str, words: list[str]) -> Any:
    """Return the cluster that a command looks at.

    Raises
    ------
    BadConfig
        If the command, or one of its words, is about this machine.
    """
    from contimg.cli.cluster import Cluster  # noqa: PLC0415 - only for those who look at a cluster

    if name not in LOOKING:
        raise BadConfig(
            f"'contimg {name}' works on this machine: leave --context and --namespace away; "
            f"a cluster has {', '.join(LOOKING)}"
        )
    own = next((word for word in words if word.startswith(("--stage-base", "--data-base"))), None)
    if own is not None:
        raise BadConfig(f"{own} names a directory of this machine; leave it away with --context or --namespace")
    return Cluster(context, namespace, (name, *words))


app = typer.Typer(
    name="contimg",
    cls=_Commands,
    help="Raw radio-telescope files into published sky products.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings=HELP_OPTIONS,
)
for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.help)(lambda: None)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"contimg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    context: str = typer.Option(None, help="Look at a cluster: a context of the kubeconfig; '' is the current one."),
    namespace: str = typer.Option(None, "--namespace", "-n", help="Look at a cluster: a namespace of the context."),
) -> None:
    """Raw radio-telescope files into published sky products."""


def _end(sentence: str, code: int) -> None:
    """Say one line of bounded length, whatever bytes a name in it is made of, and end."""
    line = " ".join(sentence.encode("utf-8", "backslashreplace").decode().splitlines())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    typer.echo(f"contimg: {line}", err=True)
    surroundings.leave(code)


def main() -> None:
    """Run the command line; an error of ours or of the machine ends it with one sentence and an exit code."""
    surroundings.prepare()
    try:
        app()
    except ContimgError as error:
        _end(str(error), error.exit_code)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        _end(f"{what}{error.strerror or error}", ContimgError.exit_code)
    except MemoryError:
        _end("out of memory; ask for less, or give it a larger machine", ResourceExhausted.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _end("interrupted; start the same command again to go on", INTERRUPTED)
        surroundings.leave(end.code)
