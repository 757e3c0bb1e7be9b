"""What the documents say is what the code does: tables, links, commands."""

from __future__ import annotations

import re

import pytest
from docs_tables import DOCS, rendered
from typer.testing import CliRunner

from contimg.cli.main import app
from contimg.keeper.schema import DATABASES
from contimg.models.instrument import pipelines
from contimg.models.spec import Scope, data_types, specs
from contimg.settings import variables

PAGES = sorted(DOCS.rglob("*.md"))
STAGES = sorted(specs())


@pytest.fixture(params=PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def page(request):
    return request.param


def test_parameter_tables_equal_the_classes(page):
    """Mend with: python tests/support/docs_tables.py."""
    assert page.read_text() == rendered(page.read_text())


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_page_with_its_parameters(stage):
    assert f"<!-- parameters of {stage} -->" in (DOCS / "stages" / f"{stage}.md").read_text()


@pytest.mark.parametrize("path", [DOCS.parent / "README.md", *PAGES], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target, heading in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", path.read_text()):
        if target.startswith("http"):
            continue
        led = path.parent / target if target else path
        assert led.exists(), target
        assert not heading or heading in headings(led), f"{target}#{heading}"


def headings(path):
    """Return the anchors of a page, made of its headings as forges do."""
    found = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in found}


def expanded(word):
    """Return the paths that a word with alternatives in braces stands for."""
    match = re.search(r"\{([^{}]*)\}", word)
    if match is None:
        return [word]
    inner = (word[: match.start()] + each + word[match.end() :] for each in match[1].split(","))
    return [path for each in inner for path in expanded(each)]


def test_places_named_exist():
    """Where to change what: a place that moved is named anew."""
    words = re.findall(r"`([^`]+)`", (DOCS / "where.md").read_text())
    roots = ("shared/", "services/", "operator/", "charts/", "tests/", "docs/", "Dockerfiles/")
    places = [path for word in words if word.startswith(roots) for path in expanded(word)]
    for place in places:
        pattern = re.sub(r"<\w+>", "*", place).rstrip("/")
        assert any(DOCS.parent.glob(f"{pattern}{end}") for end in ("", ".py")), place
    assert len(places) > 40


@pytest.mark.parametrize("stage", [name for name, spec in specs().items() if spec.scope is not Scope.WATCHER])
def test_the_page_of_a_stage_names_its_figures_and_no_others(stage):
    service = DOCS.parent / "services" / specs()[stage].runner.partition(".")[0]
    source = "".join(path.read_text() for path in service.glob("*.py"))
    made = set(re.findall(rf'"({stage}\.[a-z_]+)"', source))
    named = set(re.findall(rf"`({stage}\.[a-z_]+)`", (DOCS / "stages" / f"{stage}.md").read_text()))
    assert made <= named
    words = set(re.findall(r'"([a-z_]+)"', source)) if f'f"{stage}.{{name}}"' in source else set()
    assert named - made <= {f"{stage}.{word}" for word in words}


def test_tables_of_the_databases_are_named():
    text = (DOCS / "formats.md").read_text()
    for name, script in DATABASES.items():
        assert f"`{name}.sqlite3`" in text
        for table in re.findall(r"CREATE TABLE (\w+)", script):
            assert f"`{table}`" in text, table


def test_directories_named_exist_in_the_layout():
    text = (DOCS / "formats.md").read_text()
    for row in data_types().values():
        assert row.home.split("/")[0] in text
    assert set(re.findall(r"CONTIMG_[A-Z_]+", text)) <= {name for name, _, _ in variables()}


def commands_in(text):
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_commands_run(page, tmp_path, monkeypatch):
    """On an empty observatory a list may say that there is no index yet; nothing may be unknown to the command line."""
    monkeypatch.setenv("CONTIMG_STAGE_BASE", str(tmp_path / "stage"))
    monkeypatch.setenv("CONTIMG_DATA_BASE", str(tmp_path / "data"))
    for command in commands_in(page.read_text()):
        program, *words = command.split()
        if program != "contimg" or page.name == "by-hand.md":  # which tests/e2e/test_by_hand.py runs
            continue
        done = CliRunner().invoke(app, words)
        if done.exit_code:
            assert re.search("there is no index|no group .* was run", str(done.exception)), (command, done.output)


def test_pipelines_named_exist(page):
    named = set(re.findall(r"`([a-z0-9]+-continuum)`", page.read_text()))
    assert named <= set(pipelines())
