"""The command as a whole: exit codes by error class, one sentence, the list of commands."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from contimg import __version__, errors
from contimg.cli import main as entry
from contimg.cli.main import COMMANDS, app


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
