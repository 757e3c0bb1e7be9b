"""``contimg pipeline``: every parameter with its unit, value and limits."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from contimg.cli.main import app
from contimg.cli.pipeline import UNITS, parameter_rows, unit_of
from contimg.errors import BadConfig
from contimg.models.instrument import pipelines
from contimg.models.spec import specs


def invoke(*words):
    return CliRunner().invoke(app, ["pipeline", *words], env={"COLUMNS": "250"})


def test_list_names_all():
    done = invoke("list")
    assert done.exit_code == 0
    assert [line.split(":")[0] for line in done.output.splitlines()] == list(pipelines())


@pytest.mark.parametrize("name", pipelines())
def test_show_holds_every_parameter_of_every_stage(name):
    done = invoke("show", name)
    assert done.exit_code == 0
    for stage, spec in ((item.stage, specs()[item.stage]) for item in pipelines()[name].stages):
        assert f"{stage} (per {spec.scope}" in done.output
        assert all(field in done.output for field in spec.params.model_fields), stage


def test_an_unknown_name_offers_the_nearest():
    done = invoke("show", "vla-continum")
    assert isinstance(done.exception, BadConfig)
    assert "did you mean 'vla-continuum'" in str(done.exception)


@pytest.mark.parametrize("stage", specs())
def test_every_row_has_a_meaning(stage):
    rows = parameter_rows(specs()[stage], {})
    assert [row[0] for row in rows] == list(specs()[stage].params.model_fields)
    assert all(row[4] for row in rows), [row[0] for row in rows if not row[4]]


@pytest.mark.parametrize("stage", specs())
def test_only_what_differs_from_the_default_is_marked(stage):
    spec = specs()[stage]
    assert not [row[0] for row in parameter_rows(spec, {}) if row[2].endswith(" *")]


def test_what_a_pipeline_sets_is_marked():
    rows = {row[0]: row for row in parameter_rows(specs()["mosaic"], {"method": "coadd"})}
    assert rows["method"][2] == "coadd *"
    assert "|" in rows["method"][3], "the choices stand in the limits"


@pytest.mark.parametrize(
    ("name", "unit"),
    [("cell_arcsec", "″"), ("threshold_jy", "Jy"), ("max_gap_s", "s"), ("max_span_min", "min"), ("robust", ""),
     ("clip_sigma", "σ"), ("dish_m", "m"), ("sum", "")],
)  # fmt: skip
def test_the_unit_stands_in_the_name(name, unit):
    assert unit_of(name) == unit


def test_every_number_with_a_unit_shows_it():
    """A parameter whose name ends like a unit is shown with one; the table of units holds no word that none uses."""
    names = [name for spec in specs().values() for name in spec.params.model_fields]
    used = {name.rsplit("_", 1)[-1] for name in names}
    assert {word for word in UNITS if word in used} >= {"arcsec", "deg", "s", "jy"}
