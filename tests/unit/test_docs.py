"""What the documents say is what the code does: tables, links, commands."""

from __future__ import annotations

import re

import pytest
from docs_tables import DOCS, rendered
from typer.testing import CliRunner

from contimg.cli.main import app
from contimg.keeper.tables import METADATA
from contimg.models.params import specs
from contimg.pipelines import pipelines
from contimg.volume.layout import DATA_TYPES, ENVIRONMENT

PAGES = sorted(DOCS.rglob("*.md"))
STAGES = ["ingest", *specs()]


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


@pytest.mark.parametrize("stage", sorted(specs()))
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
    for name, metadata in METADATA.items():
        assert f"`{name}.sqlite3`" in text
        for table in set(metadata.tables) - {"plans"}:
            assert f"`{table}`" in text, table


def test_directories_named_exist_in_the_layout():
    text = (DOCS / "formats.md").read_text()
    for row in DATA_TYPES.values():
        assert row.home.split("/")[0] in text
    assert set(re.findall(r"CONTIMG_[A-Z_]+", text)) <= set(ENVIRONMENT)


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
        expected = (0, 1) if words[0] == "get" else (0,)
        assert done.exit_code in expected, (command, done.output, done.exception)
        if done.exit_code:
            assert "there is no index" in str(done.exception), command


def test_pipelines_named_exist(page):
    named = set(re.findall(r"`([a-z0-9]+-continuum)`", page.read_text()))
    assert named <= set(pipelines())
