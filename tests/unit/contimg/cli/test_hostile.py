"""Whatever words a command is given, the answer is an exit code that is not 0 and one sentence, never a traceback."""

from __future__ import annotations

import os
import sys

import pytest

from contimg.cli import main as entry
from contimg.keeper.keeper import Keeper
from contimg.volume.layout import Layout

WORDS = {
    "long": "x" * 300,
    "long path": "y/" * 3000 + "z.yaml",
    "up": "../",
    "star": "*",
    "passwd": "/etc/passwd",
    "empty": "",
    "zero": "a\0b",
    "zero yaml": "a\0b.yaml",
    "not utf-8": "\udcff\udcfe.yaml",
    "directory": "{tmp}/directory.yaml",
    "fifo": "{tmp}/fifo.yaml",
    "device": "/dev/zero",
    "minus": "-1",
    "markup": "[bold]{{x}}%s",
    "newline": "a\nb",
}
COMMANDS = {
    "run": ["run", "{}"],
    "watch": ["watch", "{}"],
    "why": ["why", "{}"],
    "get": ["get", "{}"],
    "get elsewhere": ["get", "products", "--data-base", "{}"],
    "get after": ["get", "products", "--after", "x{}"],
    "show": ["show", "{}"],
    "trace": ["trace", "{}"],
    "trace two": ["trace", "{}", "/nowhere"],
    "log": ["log", "{}"],
    "replay": ["replay", "{}"],
    "stage": ["stage", "{}", "x"],
    "stage input": ["stage", "image", "{}"],
    "stage value": ["stage", "image", "/etc/passwd", "--robust={}"],
    "pipeline": ["pipeline", "show", "{}"],
    "schema": ["schema", "x{}"],
    "simulate": ["simulate", "{}", "out"],
    "simulate preset": ["simulate", "dsa110", "out", "--preset", "x{}"],
    "simulate config": ["simulate", "dsa110", "out", "--config", "{}"],
    "verify": ["verify", "{}"],
    "verify into": ["verify", "g", "--dir", "{}"],
    "no command": ["x{}"],
}


YAML = """\
kind: ObservationGroup
metadata: {name: g}
spec: {pipeline: dsa110-continuum, observations: {start: 2026-01-25T00:00:00Z, count: 1}}
"""


@pytest.fixture
def places(tmp_path, monkeypatch):
    (tmp_path / "directory.yaml").mkdir()
    os.mkfifo(tmp_path / "fifo.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTIMG_STAGE_BASE", str(tmp_path / "s"))
    monkeypatch.setenv("CONTIMG_DATA_BASE", str(tmp_path / "d"))
    monkeypatch.setattr(entry.surroundings, "prepare", lambda: None)
    (tmp_path / "d" / "incoming").mkdir(parents=True)
    return tmp_path


def told(words, monkeypatch, capsys):
    """Run the command as its entry point does; return exit code and what it said."""
    monkeypatch.setattr(sys, "argv", ["contimg", *words])
    with pytest.raises(SystemExit) as caught:
        entry.main()
    return caught.value.code, capsys.readouterr()


@pytest.mark.parametrize("word", WORDS.values(), ids=list(WORDS))
@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_a_hostile_word_gets_one_sentence(command, word, places, monkeypatch, capsys):
    word = word.replace("{tmp}", str(places))
    code, said = told([part.replace("{}", word) for part in command], monkeypatch, capsys)
    assert code not in {0, None}
    assert said.err.strip(), "something was said"
    assert "Traceback" not in said.err + said.out
    sentences = [line for line in said.err.splitlines() if line.startswith("contimg: ")]
    assert len(sentences) <= (2 if command[0] == "trace" else 1)
    assert sentences or "Usage:" in said.err
    assert len(said.err) < 8000


@pytest.mark.parametrize("word", ["../", "/etc/passwd", "*", "x" * 300, "a\0b"])
@pytest.mark.parametrize("command", ["show", "log", "trace"])
def test_beside_an_index_too(command, word, places, monkeypatch, capsys):
    with Keeper(Layout(places / "s", places / "d")) as keeper:
        keeper.scan()
    code, said = told([command, word], monkeypatch, capsys)
    assert code not in {0, None}
    assert said.err.startswith(("contimg: ", "Usage: "))
    assert said.out == ""


@pytest.mark.parametrize(
    "damage", [b"", b"SQLite format 3\0" + b"x" * 4096, b"{garbage", None], ids=["0", "1", "2", "3"]
)
@pytest.mark.parametrize("noun", ["products", "attempts", "observations"])
def test_a_damaged_database_names_itself_and_the_way_back(noun, damage, places, monkeypatch, capsys):
    layout = Layout(places / "s", places / "d")
    with Keeper(layout) as keeper:
        keeper.scan()
    for path in layout.state.glob("*.sqlite3"):
        path.unlink()
        path.mkdir() if damage is None else path.write_bytes(damage)
    code, said = told(["get", noun], monkeypatch, capsys)
    assert code not in {0, None}
    assert said.err.startswith("contimg: ")
    assert ".sqlite3" in said.err
    assert len(said.err.splitlines()) == 1
    assert "sqlalche" not in said.err.lower()
