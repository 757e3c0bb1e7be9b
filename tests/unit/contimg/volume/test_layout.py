"""The directory tree of the design, its variables, and what moves when one is set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contimg.models.params import specs
from contimg.volume.layout import DATA_TYPES, ENVIRONMENT, Layout

PLAIN = Layout(Path("/s"), Path("/d"))

HOMES = {
    "raw_ms": "/s/raw/ms",
    "group": "/s/raw/groups",
    "calibration_table": "/s/calibrated/tables",
    "calibrated_ms": "/s/calibrated/ms",
    "image": "/s/images",
    "mosaic": "/s/mosaics",
    "catalog": "/s/products/catalogs",
    "metadata": "/s/products/metadata",
}
"""As the design draws the tree."""

DIRECTORIES = {
    "products": "/s/products",
    "failed": "/s/workspace/failed",
    "locks": "/s/.locks",
    "incoming": "/d/incoming",
    "archive": "/d/products",
    "catalogs": "/d/state/config/catalogs",
    "state": "/d/state",
    "observations": "/d/state/observations",
    "quarantine": "/d/state/quarantine",
    "attempts": "/d/state/attempts",
    "manifests": "/d/state/manifests",
    "groups": "/d/state/groups",
    "flags": "/d/state/config/flags",
    "logs": "/d/state/logs",
}


def test_every_data_type_has_the_home_of_the_design():
    assert {name: str(PLAIN.home(name)) for name in DATA_TYPES} == HOMES


@pytest.mark.parametrize("name", DIRECTORIES)
def test_every_directory_is_that_of_the_design(name):
    assert str(getattr(PLAIN, name)) == DIRECTORIES[name]


def test_runs_lie_hidden_in_their_homes():
    assert PLAIN.run("image", "abc") == Path("/s/images/.runs/abc")
    assert PLAIN.active("imaging") == Path("/s/workspace/active/imaging")


def test_there_are_four_indexes_in_the_state_directory():
    assert {path.name for path in PLAIN.databases.values()} == {
        "ingest.sqlite3", "products.sqlite3", "cal_registry.sqlite3", "data_registry.sqlite3"}  # fmt: skip
    assert {path.parent for path in PLAIN.databases.values()} == {PLAIN.state}


def test_every_installed_stage_has_a_data_type_of_its_own_as_home():
    homes = {spec.home: name for name, spec in specs().items()}
    assert set(homes) == set(DATA_TYPES)
    assert {name: DATA_TYPES[home].stage for home, name in homes.items()} == {name: name for name in specs()}
    assert {DATA_TYPES[spec.home].workspace for spec in specs().values()} == {s.workspace for s in specs().values()}


def test_retention_is_the_designs():
    days = {name: row.retention_days for name, row in DATA_TYPES.items()}
    assert days == {
        "raw_ms": 7, "group": None, "calibration_table": 90, "calibrated_ms": 7, "image": 30, "mosaic": 90,
        "catalog": 90, "metadata": 90}  # fmt: skip


def test_raw_visibilities_are_never_published_and_big_ones_only_on_request():
    assert DATA_TYPES["raw_ms"].archive == ""
    assert {name for name, row in DATA_TYPES.items() if row.archive_optional} == {
        "calibration_table", "calibrated_ms", "image"}  # fmt: skip


def every_path(layout: Layout) -> dict[str, Path]:
    found = {f"home {name}": layout.home(name) for name in DATA_TYPES}
    found |= {name: getattr(layout, name) for name in DIRECTORIES}
    return found | {"active": layout.active("x")} | {f"db {k}": v for k, v in layout.databases.items()}


MOVED = {
    "CONTIMG_RAW_MS_DIR": {"home raw_ms"},
    "CONTIMG_CALIBRATED_MS_DIR": {"home calibrated_ms"},
    "CONTIMG_CALIBRATION_TABLES_DIR": {"home calibration_table"},
    "CONTIMG_IMAGES_DIR": {"home image"},
    "CONTIMG_MOSAICS_DIR": {"home mosaic"},
    "CONTIMG_PRODUCTS_DIR": {"products", "home catalog", "home metadata"},
    "CONTIMG_WORKSPACE_DIR": {"active"},
    "CONTIMG_INCOMING_DIR": {"incoming"},
    "CONTIMG_PUBLISHED_PRODUCTS_DIR": {"archive"},
    "CONTIMG_CATALOG_DIR": {"catalogs"},
}
"""What a variable moves, and nothing else: above all no locks and no failed logs with the workspace."""


@pytest.mark.parametrize("variable", MOVED)
def test_a_variable_moves_its_directory_and_nothing_else(variable):
    moved = Layout.from_environment({"CONTIMG_STAGE_BASE": "/s", "CONTIMG_DATA_BASE": "/d", variable: "/elsewhere/x"})
    before, after = every_path(PLAIN), every_path(moved)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == MOVED[variable]
    assert all(str(after[name]).startswith("/elsewhere/x") for name in changed)


def test_the_state_directory_takes_records_and_databases_along_but_not_the_catalogs():
    moved = Layout.from_environment({"CONTIMG_DATA_BASE": "/d", "CONTIMG_STATE_DIR": "/fast/state"})
    inside = {name for name, path in every_path(moved).items() if str(path).startswith("/fast/state")}
    assert inside == {"state", "observations", "quarantine", "attempts", "manifests", "groups", "flags", "logs"} | {
        f"db {name}" for name in PLAIN.databases}  # fmt: skip


def test_every_variable_is_tested_here():
    rest = {"CONTIMG_STAGE_BASE", "CONTIMG_DATA_BASE", "CONTIMG_STATE_DIR"}
    assert set(MOVED) | rest == set(ENVIRONMENT)


def test_the_defaults_are_the_designs_and_empty_counts_as_unset(monkeypatch):
    layout = Layout.from_environment({"CONTIMG_STAGE_BASE": "", "CONTIMG_IMAGES_DIR": "", "HOME": "/root"})
    assert layout == Layout(Path("/stage/dsa110-contimg"), Path("/data/dsa110-contimg"), {})
    monkeypatch.setenv("CONTIMG_IMAGES_DIR", "/i")
    assert Layout.from_environment().home("image") == Path("/i")


@given(
    chosen=st.dictionaries(
        st.sampled_from(sorted(ENVIRONMENT)), st.from_regex(r"/[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True)
    )
)
def test_a_child_that_reads_the_environment_sees_the_same_tree(chosen):
    layout = Layout.from_environment(chosen)
    child = Layout.from_environment(layout.as_environment())
    assert every_path(child) == every_path(layout)
    assert set(layout.as_environment()) == set(ENVIRONMENT)


def test_two_layouts_are_equal_when_their_directories_are_written_alike():
    assert replace(PLAIN, overrides={}) == PLAIN
    assert replace(PLAIN, overrides={"CONTIMG_IMAGES_DIR": "/i"}) != PLAIN


def test_no_home_lies_inside_another():
    """Else a scan of one type's names would walk into another's."""
    homes = [PLAIN.home(name) for name in DATA_TYPES]
    assert not [(a, b) for a in homes for b in homes if a != b and a.is_relative_to(b)]
