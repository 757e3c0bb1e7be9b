"""Boards and alerts: what is committed is what the code says, and every name in a query is one that code shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from metered import registered
from ruamel.yaml import YAML
from typer.testing import CliRunner

from boards import alerts, files
from boards.alerts import ALERTS
from boards.board import everywhere
from contimg.cli.main import app

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "contimg"
PROCESS = {"process_resident_memory_bytes"}
"""Of prometheus_client itself."""
SCRAPED = {"namespace", "instance"}
"""Labels that Prometheus sets."""
PANELS = [(board, panel) for board in files.BOARDS for panel in board.panels]
QUERIES = [(f"{board.name}: {panel.title}", query) for board, panel in PANELS for query in panel.queries]
EXPRESSIONS = [(name, query.expr) for name, query in QUERIES] + [(alert.name, alert.expr) for alert in ALERTS]


def known() -> dict[str, set[str]]:
    """Return the labels of every series that can be asked for, by its name."""
    found = {}
    for name, (kind, labels, _) in registered().items():
        if kind == "histogram":
            found |= {f"{name}_{part}": {*labels, "le"} for part in ("bucket", "sum", "count")}
        else:
            found[name] = set(labels)
    return found | {name: set() for name in PROCESS}


@pytest.mark.parametrize("path", files.contents())
def test_what_is_committed_is_what_the_code_says(path):
    """Mend with: ./run boards --files."""
    assert (CHART / "files" / path).read_text() == files.contents()[path]


def test_no_other_file_lies_beside_them():
    found = {f"{one}/{path.name}" for one in ("dashboards", "rules") for path in (CHART / "files" / one).iterdir()}
    assert found == set(files.contents())


@pytest.mark.parametrize("path", files.contents())
def test_no_outside_host_is_named(path):
    assert "http" not in files.contents()[path]


@pytest.mark.parametrize(("name", "expr"), EXPRESSIONS)
def test_every_metric_and_label_of_a_query_exists(name, expr):
    series = known()
    plain = re.sub(r'"[^"]*"', '""', expr)
    words = set(re.findall(r"\b(?:contimg|process)_\w+", plain))
    assert words, expr
    assert words <= set(series), words - set(series)
    labels = {label for word in words for label in series[word]} | SCRAPED
    used = set(re.findall(r"(\w+)\s*[!=]=?~?\s*\"\"", plain))
    for inner in re.findall(r"\b(?:by|on|group_left)\s*\(([^)]*)\)", plain):
        used |= set(re.findall(r"\w+", inner))
    assert used <= labels, used - labels


@pytest.mark.parametrize(("name", "query"), QUERIES)
def test_a_legend_names_labels_that_its_query_keeps(name, query):
    for label in re.findall(r"{{(\w+)}}", query.legend):
        assert re.search(rf"\bby \([^)]*\b{label}\b", query.expr), label


@pytest.mark.parametrize(("name", "expr"), [(name, query.expr) for name, query in QUERIES])
def test_every_selector_of_a_board_keeps_to_the_chosen_releases(name, expr):
    assert re.findall(r"\b(?:contimg|process)_\w+(?!\w)(?!{[^}]*\$here})", expr) == []


def test_six_boards_each_with_its_question():
    questions = [board.question for board in files.BOARDS]
    assert len(set(questions)) == 6
    assert all(question.endswith("?") for question in questions)
    assert len({board.name for board in files.BOARDS}) == 6


@pytest.mark.parametrize("board", files.BOARDS, ids=lambda board: board.name)
def test_a_board_as_grafana_reads_it(board):
    made = json.loads(files.contents()[f"dashboards/{board.name}.json"])
    assert made["description"] == board.question
    assert made["uid"] == f"contimg-{board.name}"
    assert [variable["name"] for variable in made["templating"]["list"]] == ["source", "namespace"]
    assert [panel["title"] for panel in made["panels"]] == [panel.title for panel in board.panels]
    assert all(panel["description"] for panel in made["panels"])
    places = [tuple(panel["gridPos"].values()) for panel in made["panels"]]
    assert len(set(places)) == len(places), "no panel hides another"


def test_no_label_can_take_endless_values():
    """Tasks, groups, observations, files and hosts come and go without end: none of them is a label."""
    endless = {"task", "group", "observation", "unit", "path", "file", "host", "pid", "message", "attempt", "survey"}
    found = {name: set(labels) & endless for name, (_, labels, _) in registered().items()}
    assert {name: labels for name, labels in found.items() if labels} == {"contimg_figure": {"unit"}}, "Jy, not a tile"


def test_names_follow_the_rules_of_prometheus():
    for name, (kind, _, text) in registered().items():
        assert re.fullmatch(r"contimg_[a-z_]+", name)
        assert name.endswith("_total") == (kind == "counter"), name
        assert text.endswith("."), name
        assert not re.search(r"_(ms|minutes|hours|days|kb|mb|gb|percent)(_|$)", name), "base units"


def test_ten_alerts_with_a_runbook_each():
    assert len({alert.name for alert in ALERTS}) == 10
    headings = re.findall(r"^#+ (.+)$", (ROOT / alerts.RUNBOOKS).read_text(), re.MULTILINE)
    assert [alert.name for alert in ALERTS if alert.name not in headings] == []
    rules = YAML(typ="safe").load(alerts.rendered())["groups"][0]["rules"]
    links = [rule["annotations"]["runbook_url"].partition("#") for rule in rules]
    assert [(page, anchor) for page, _, anchor in links] == [(alerts.RUNBOOKS, alert.name.lower()) for alert in ALERTS]


def test_the_page_shows_every_board():
    text = (ROOT / alerts.RUNBOOKS).read_text()
    for board in files.BOARDS:
        assert board.question in text
        assert f"](boards/{board.name}.png)" in text


def test_commands_of_the_runbooks_are_understood():
    found = re.findall(r"`contimg ([^`]+)`", (ROOT / alerts.RUNBOOKS).read_text())
    assert {command.split()[0] for command in found} >= {"get", "why", "log", "replay"}
    for command in found:
        word, *rest = command.split()
        said = CliRunner().invoke(app, [word, "--help"], env={"COLUMNS": "200"})
        assert said.exit_code == 0, command
        assert all(option in said.output for option in rest if option.startswith("--")), command


def test_words_of_grafana_are_replaced_for_prometheus():
    expr = everywhere("sum(rate(x{$here}[$__rate_interval])) + increase(y{$here}[$__range])", "60s", "1m")
    assert expr == 'sum(rate(x{namespace=~".*"}[1m])) + increase(y{namespace=~".*"}[60s])'
