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


def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("stage", [name for name, spec in specs().items() if spec.scope is not Scope.WATCHER])
def test_the_page_of_a_stage_names_its_figures_and_no_others(stage):
    service = DOCS.parent / "services" / f"contimg_{stage}"
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
