"""The command as a whole: exit codes by error class, one sentence, live progress as lines."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner

from contimg import __version__, errors
from contimg.cli import main as entry
from contimg.cli.display import progress_display, status_table
from contimg.cli.main import COMMANDS, app
from contimg.host.local import Progress
from contimg.models.group import GroupStatus, StageStatus
from contimg.models.quality import Verdict


def test_the_commands_of_the_issue_are_there():
    done = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    words = set(done.output.replace("│", " ").split())
    assert words >= set(COMMANDS)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"pipeline"}))
def test_every_command_explains_itself(command):
    done = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    assert len(done.output.split()) > 10


def test_the_list_says_of_each_command_what_it_does():
    """The list is shown without importing a command; its line must not grow stale."""
    for name, command in COMMANDS.items():
        loaded = entry._loaded(name)
        assert loaded.help, name
        assert command.help.endswith("."), name


def test_the_version_is_the_packages():
    assert CliRunner().invoke(app, ["--version"]).output == f"contimg {__version__}\n"


@pytest.mark.parametrize(
    "kind", [getattr(errors, name) for name in errors.__all__ if name != "by_name"], ids=lambda kind: kind.__name__
)
def test_an_error_of_ours_is_one_line_and_the_code_of_its_class(kind, monkeypatch, capsys):
    def fail():
        raise kind("/a/[b]/c.yaml:3: field 'x' = [1, 2]; write x: 1")

    monkeypatch.setattr(entry, "app", fail)
    monkeypatch.setattr(entry.surroundings, "prepare", lambda: None)
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == kind.exit_code
    shown = capsys.readouterr()
    assert shown.err == "contimg: /a/[b]/c.yaml:3: field 'x' = [1, 2]; write x: 1\n", "no markup, no wrapping"
    assert shown.out == ""


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def interrupted():
        raise SystemExit(130)  # what typer makes of Ctrl-C

    monkeypatch.setattr(entry, "app", interrupted)
    monkeypatch.setattr(entry.surroundings, "prepare", lambda: None)
    with pytest.raises(SystemExit) as caught:
        entry.main()
    assert caught.value.code == 130
    assert "start the same command again" in " ".join(capsys.readouterr().err.split())


def test_a_bug_keeps_its_traceback(monkeypatch):
    def bug():
        raise ValueError("a bug")

    monkeypatch.setattr(entry, "app", bug)
    monkeypatch.setattr(entry.surroundings, "prepare", lambda: None)
    with pytest.raises(ValueError, match="a bug"):
        entry.main()
    assert "pytest" in sys.modules


def status(done=1, phase="Running", message="convert: 1 of 2 done"):
    stages = (
        StageStatus(stage="convert", done=done, total=2, running=1, seconds=3.21, verdict=Verdict.PASS),
        StageStatus(stage="image", done=0, total=2, failed=1),
    )
    return GroupStatus(
        observed_generation=1, phase=phase, stage="convert", progress=f"{done}/2", message=message, stages=stages
    )


def shown(*steps, terminal=False, quiet=False):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100)
    with progress_display(console, quiet=quiet) as watcher:
        for step in steps:
            watcher(step)
    return stream.getvalue()


def test_without_a_terminal_there_is_a_line_per_change():
    first, second = Progress(status(), {}), Progress(status(2, message="convert: [2] of 2 done"), {})
    text = shown(first, first, Progress(status(), {"convert a": "half"}), second, second)
    assert text.splitlines() == [
        "Running convert 1/2 convert: 1 of 2 done",
        "Running convert 2/2 convert: [2] of 2 done",
    ]


def test_on_a_terminal_stages_and_what_is_at_work_are_shown():
    text = shown(Progress(status(), {"image 2026-01-25T22:26:00": "major cycle 2"}), terminal=True)
    assert "image 2026-01-25T22:26:00: major cycle 2" in text
    assert "convert: 1 of 2 done" in text


def test_quiet_is_quiet():
    assert shown(Progress(status(), {}), quiet=True) == ""


def test_counts_are_those_of_the_status():
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(status_table(status()))
    rows = [line.split() for line in console.export_text().splitlines()]
    assert rows[0] == ["stage", "done", "running", "failed", "seconds", "verdict"]
    assert rows[1] == ["convert", "1/2", "1", "3.2", "pass"]
    assert rows[2] == ["image", "0/2", "1"]
