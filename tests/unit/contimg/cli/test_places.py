"""Looking commands: lists as tables and as JSON, and what they say where nothing was run."""

from __future__ import annotations

import json

import pytest
from keeper_site import T0, Site
from typer.testing import CliRunner

from contimg.cli.get import COLUMNS
from contimg.cli.main import app
from contimg.cli.places import print_rows
from contimg.errors import BadConfig, ContimgError
from contimg.host.store import ResourceStore
from contimg.keeper.keeper import Keeper
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.observation import QuarantineRecord
from contimg.volume.layout import Layout


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "s", tmp_path / "d")


def contimg(layout, *words):
    bases = ["--stage-base", str(layout.stage_base), "--data-base", str(layout.data_base)]
    return CliRunner().invoke(app, [*map(str, words), *bases], env={"COLUMNS": "220"})


@pytest.fixture
def filled(layout, tmp_path):
    """A published group of two products, one failed attempt, one observation."""
    site = Site(layout)
    with Keeper(layout) as keeper:
        site.observation(0)
        keeper.scan()
        convert = site.commit("convert", "2026-01-25T22:00:00", raw=("2026-01-25/2200_sb00.hdf5",))
        mosaic = site.commit("mosaic", "g", inputs=[convert])
        publish = site.publish([convert, mosaic])
        site.archive(publish[0])
        keeper.register_group(site.group(publish[0]))
        for task, home in (convert, mosaic, publish):
            site.name(task, home)
            keeper.register_run(task, home)
        site.attempt(mosaic[0], 1, "failed", error="Unavailable")
        keeper.register_attempt(mosaic[0], 1)
    wish = {"pipeline": "dsa110-continuum", "observations": {"start": "2026-01-25T22:00:00Z", "count": 1}}
    group = ObservationGroup.model_validate({"metadata": {"name": "g"}, "spec": wish})
    store = ResourceStore(layout)
    store.put(group, tmp_path / "g.yaml")
    store.put_status(group, tmp_path / "g.yaml", GroupStatus(observed_generation=1, phase="Published", message="all"))
    return mosaic[0]


def test_what_can_be_listed_after_a_run(layout, filled):
    found = {noun: json.loads(contimg(layout, "get", noun, "--json").output) for noun in COLUMNS}
    assert [row["group"] for row in found["groups"]] == ["g"]
    assert {row["stage"] for row in found["runs"]} == {"convert", "mosaic", "publish"}
    assert {row["data_type"] for row in found["products"]} == {"raw_ms", "mosaic", "metadata"}
    assert [(row["attempt"], row["state"]) for row in found["attempts"]] == [(f"{filled}-1", "failed")]
    assert [row["id"] for row in found["observations"]] == ["2026-01-25T22:00:00"]
    assert found["quarantine"] == []


@pytest.mark.parametrize("noun", COLUMNS)
def test_the_columns_of_a_table_are_fields_of_its_rows(noun, layout, filled):
    rows = json.loads(contimg(layout, "get", noun, "--json").output)
    assert all(set(COLUMNS[noun]) <= set(row) for row in rows), set(COLUMNS[noun]) - set(rows[0])
    table = contimg(layout, "get", noun)
    assert table.exit_code == 0
    assert table.output.splitlines()[0].split() == list(COLUMNS[noun])
    assert len(table.output.splitlines()) > len(rows)


@pytest.mark.parametrize("noun", [noun for noun in COLUMNS if noun != "groups"])
def test_where_nothing_was_run_it_says_so(noun, layout):
    done = contimg(layout, "get", noun)
    assert isinstance(done.exception, ContimgError)
    assert str(layout.state) in str(done.exception)
    assert not layout.data_base.exists(), "looking makes nothing"


def test_no_groups_is_an_empty_list(layout):
    assert contimg(layout, "get", "groups", "--json").output == "[]\n"


def test_an_unknown_list_offers_the_nearest(layout):
    done = contimg(layout, "get", "product")
    sentence = str(done.exception)
    assert "no list 'product'; did you mean 'products'" in sentence
    assert all(noun in sentence for noun in COLUMNS)


MISSPELT = {
    "stage": (["runs", "--stage", "mosiac"], "--stage 'mosiac' is none of", "did you mean 'mosaic'?"),
    "state": (["runs", "--state", "relased"], "--state 'relased' is none of staging, released", "mean 'released'?"),
    "phase": (["groups", "--state", "runing"], "--state 'runing' is none of", "did you mean 'running'?"),
    "date": (["runs", "--date", "2026-13-01"], "--date '2026-13-01' is no date", "YYYY-MM-DD"),
    "group": (["groups", "--group", "gg"], "no group 'gg' is on record", "did you mean 'g'?"),
    "group of runs": (["attempts", "--group", "gg"], "no group 'gg' is on record", "did you mean 'g'?"),
    "reason": (["quarantine", "--state", "truncatd"], "--state 'truncatd' is none of truncated", "mean 'truncated'?"),
}


@pytest.mark.parametrize(("words", "told", "cure"), MISSPELT.values(), ids=list(MISSPELT))
def test_a_misspelt_filter_is_no_empty_list(words, told, cure, layout, filled):
    refused = {"path": "x", "reason": "truncated", "sentence": "x ends early", "size": 1, "mtime_ns": 1}
    place = layout.quarantine / "2026-01-25" / "x.json"
    place.parent.mkdir(parents=True)
    place.write_text(QuarantineRecord(**refused, time=T0).model_dump_json())
    with Keeper(layout) as keeper:
        keeper.scan()
    for way in ([], ["--json"]):
        done = contimg(layout, "get", *words, *way)
        assert isinstance(done.exception, BadConfig), done.output
        assert told in str(done.exception)
        assert cure in str(done.exception)
        assert done.output == ""


ALLOWED = (
    ["runs", "--stage", "Mosaic"],
    ["groups", "--state", "published"],
    ["products", "--group", "g", "--state", "staging"],
)


@pytest.mark.parametrize("words", ALLOWED, ids=" ".join)
def test_small_and_capital_letters_are_the_same(words, layout, filled):
    assert json.loads(contimg(layout, "get", *words, "--json").output)


@pytest.mark.parametrize("words", [["runs", "--group", "g", "--stage", "solve"], ["quarantine", "--state", "x"]])
def test_what_exists_and_has_no_rows_is_an_empty_list(words, layout, filled):
    assert contimg(layout, "get", *words, "--json").output == "[]\n"


def test_show_group_run_and_observation(layout, filled):
    group = contimg(layout, "show", "g").output
    assert "pipeline dsa110-continuum" in group
    assert "Published: all" in group
    run = json.loads(contimg(layout, "show", filled).output)
    assert run["stage"] == "mosaic"
    assert json.loads(contimg(layout, "show", filled[:8]).output) == run, "its first digits will do"
    assert json.loads(contimg(layout, "show", "2026-01-25T22:00:00").output)["state"] == "sealed"


def test_show_what_is_not_there(layout, filled):
    done = contimg(layout, "show", "gg")
    assert "nothing here is called 'gg'" in str(done.exception)


@pytest.mark.parametrize("thing", ["../../secret", "/etc/passwd", "..", ""])
def test_show_reads_nothing_outside_the_records(thing, layout, filled):
    (layout.state / "secret.json").write_text("{}")
    done = contimg(layout, "show", thing)
    assert isinstance(done.exception, ContimgError), done.output


def test_trace_a_published_file_to_the_raw_one(layout, filled):
    path = next(layout.archive.rglob("mosaic_g.fits"))
    found = json.loads(contimg(layout, "trace", path, "--json").output)
    assert [step["stage"] for step in found["steps"]] == ["mosaic", "convert"]
    text = contimg(layout, "trace", path).output
    assert "raw 2026-01-25/2200_sb00.hdf5" in text
    assert text.index("mosaic g") < text.index("convert 2026-01-25T22:00:00")


def test_log_of_an_attempt(layout, filled):
    day = layout.failed / "2026-01-25"
    day.mkdir(parents=True)
    (day / f"{filled}-1_error.log").write_bytes(b"no \xff answer\n")
    (day / f"{filled}-2_error.log").write_text("second\n")
    assert "no \ufffd answer" in contimg(layout, "log", f"{filled}-1").output
    assert "second" not in contimg(layout, "log", f"{filled}-1").output
    assert "second" in contimg(layout, "log", filled[:6]).output
    done = contimg(layout, "log", "f" * 32)
    assert "no log of an attempt" in str(done.exception)


def test_a_cell_without_a_value_is_empty_and_one_with_markup_is_shown(capsys):
    print_rows([{"a": None, "b": 0}, {"a": "[bold]x", "b": None}], ["a", "b"], json_=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["0"]
    assert lines[2].split() == ["[bold]x"]
