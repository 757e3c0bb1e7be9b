"""The directory tree of the design, its variables, and what moves when one is set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contimg.errors import BadConfig, BadInput
from contimg.models.instrument import instruments
from contimg.models.observation import RawFile
from contimg.models.spec import data_types, references
from contimg.volume import disk
from contimg.volume.layout import Layout, variables

PLAIN = Layout(Path("/s"), Path("/d"))
NAMES = [name for name, _, _ in variables()]

HOMES = {
    "raw_ms": "/s/raw/ms",
    "group": "/s/raw/groups",
    "calibration_table": "/s/calibrated/tables",
    "calibrated_ms": "/s/calibrated/ms",
    "image": "/s/images",
    "mosaic": "/s/mosaics",
    "catalog": "/s/products/catalogs",
    "metadata": "/s/products/metadata",
    "level2": "/s/level2",
    "comap_map": "/s/products/comap_maps",
}
"""As the design draws the tree."""

DIRECTORIES = {
    "archive_locks": "/d/products/.locks",
    "superseded": "/d/products/superseded",
    "keeper_lock": "/d/state/keeper.lock",
    "nats": "/d/state/nats",
    "resources": "/d/state/resources",
    "wishes": "/d/state/config/groups",
    "products": "/s/products",
    "failed": "/s/workspace/failed",
    "locks": "/s/.locks",
    "incoming": "/d/incoming",
    "archive": "/d/products",
    "state": "/d/state",
    "observations": "/d/state/observations",
    "quarantine": "/d/state/quarantine",
    "attempts": "/d/state/attempts",
    "manifests": "/d/state/manifests",
    "groups": "/d/state/groups",
    "logs": "/d/state/logs",
}


def test_every_data_type_has_the_home_of_the_design():
    assert {name: str(PLAIN.home(name)) for name in data_types()} == HOMES


@pytest.mark.parametrize("name", DIRECTORIES)
def test_every_directory_is_that_of_the_design(name):
    assert str(getattr(PLAIN, name)) == DIRECTORIES[name]


def test_runs_lie_hidden_in_their_homes():
    assert PLAIN.run("image", "abc") == Path("/s/images/.runs/abc")
    assert PLAIN.active("imaging") == Path("/s/workspace/active/imaging")


def test_a_data_type_that_nobody_makes_is_named():
    with pytest.raises(BadConfig, match="no installed stage makes data type 'picture'"):
        PLAIN.home("picture")


def test_there_are_four_indexes_in_the_state_directory():
    assert {path.name for path in PLAIN.databases.values()} == {
        "ingest.sqlite3", "products.sqlite3", "cal_registry.sqlite3", "data_registry.sqlite3"}  # fmt: skip
    assert {path.parent for path in PLAIN.databases.values()} == {PLAIN.state}


def every_path(layout: Layout) -> dict[str, Path]:
    found = {f"home {name}": layout.home(name) for name in data_types()}
    found |= {f"reference {kind}": layout.reference(kind) for kind in references()}
    found |= {name: getattr(layout, name) for name in DIRECTORIES}
    return found | {"active": layout.active("x")} | {f"db {k}": v for k, v in layout.databases.items()}


MOVED = {
    "CONTIMG_RAW_MS_DIR": {"home raw_ms"},
    "CONTIMG_CALIBRATED_MS_DIR": {"home calibrated_ms"},
    "CONTIMG_CALIBRATION_TABLES_DIR": {"home calibration_table"},
    "CONTIMG_IMAGES_DIR": {"home image"},
    "CONTIMG_MOSAICS_DIR": {"home mosaic"},
    "CONTIMG_PRODUCTS_DIR": {"products", "home catalog", "home metadata", "home comap_map"},
    "CONTIMG_WORKSPACE_DIR": {"active"},
    "CONTIMG_INCOMING_DIR": {"incoming"},
    "CONTIMG_PUBLISHED_PRODUCTS_DIR": {"archive", "archive_locks", "superseded"},
    "CONTIMG_CATALOG_DIR": {"reference catalog"},
    "CONTIMG_COMAP_LEVEL2_DIR": {"home level2"},
    "CONTIMG_COMAP_MAPS_DIR": {"home comap_map"},
}
"""What a variable moves, and nothing else: above all no locks and no failed logs with the workspace."""


@pytest.mark.parametrize("variable", MOVED)
def test_a_variable_moves_its_directory_and_nothing_else(variable):
    moved = Layout.from_environment({"CONTIMG_STAGE_BASE": "/s", "CONTIMG_DATA_BASE": "/d", variable: "/elsewhere/x"})
    before, after = every_path(PLAIN), every_path(moved)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == MOVED[variable]
    assert all(str(after[name]).startswith("/elsewhere/x") for name in changed)


def test_the_state_directory_takes_records_databases_and_reference_data_along():
    moved = Layout.from_environment({"CONTIMG_DATA_BASE": "/d", "CONTIMG_STATE_DIR": "/fast/state"})
    inside = {name for name, path in every_path(moved).items() if str(path).startswith("/fast/state")}
    assert inside == {name for name, path in every_path(PLAIN).items() if str(path).startswith("/d/state")}


def test_every_variable_is_tested_here_and_has_a_meaning():
    rest = {"CONTIMG_STAGE_BASE", "CONTIMG_DATA_BASE", "CONTIMG_STATE_DIR"}
    roots = {each.roots_variable for each in instruments().values()} - {""}
    assert set(MOVED) | rest | roots == set(NAMES)
    assert all((default or name in roots) and meaning.endswith(".") for name, default, meaning in variables())


def test_raw_files_of_an_instrument_are_read_after_the_incoming_ones():
    environment = {"CONTIMG_DATA_BASE": "/d", "CONTIMG_COMAP_LEVEL1_ROOTS": "/nas1/data:/nas2/data"}
    layout = Layout.from_environment(environment)
    assert [str(root) for root in layout.incoming_roots] == ["/d/incoming", "/nas1/data", "/nas2/data"]
    raw = RawFile(path="x.hd5", root=2, role="level1", bytes=1, digest="")
    assert str(layout.raw_file(raw)) == "/nas2/data/x.hd5"


def test_the_defaults_are_the_designs_and_empty_counts_as_unset(monkeypatch):
    layout = Layout.from_environment({"CONTIMG_STAGE_BASE": "", "CONTIMG_IMAGES_DIR": "", "HOME": "/root"})
    assert layout == Layout(Path("/stage/dsa110-contimg"), Path("/data/dsa110-contimg"), {})
    monkeypatch.setenv("CONTIMG_IMAGES_DIR", "/i")
    assert Layout.from_environment().home("image") == Path("/i")


@given(
    chosen=st.dictionaries(
        st.sampled_from(sorted(NAMES)), st.from_regex(r"/[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True)
    )
)
def test_a_child_that_reads_the_environment_sees_the_same_tree(chosen):
    layout = Layout.from_environment(chosen)
    child = Layout.from_environment(layout.as_environment())
    assert every_path(child) == every_path(layout)
    assert set(layout.as_environment()) == set(NAMES)


@pytest.mark.parametrize("variable", NAMES)
def test_a_dollar_in_any_directory_is_refused_and_the_variable_named(variable):
    with pytest.raises(BadConfig, match=r"CONTIMG_\w+: the directory \S*/do\$HOME\S* has a '\$' in its name"):
        Layout.from_environment({variable: "/a/do$HOME"})


def test_a_dollar_above_a_relative_directory_is_refused_too(tmp_path, monkeypatch):
    (tmp_path / "a$b").mkdir()
    monkeypatch.chdir(tmp_path / "a$b")
    with pytest.raises(BadConfig, match="has a '\\$' in its name"):
        Layout(Path("stage"), Path("data"))


def test_two_layouts_are_equal_when_their_directories_are_written_alike():
    assert replace(PLAIN, overrides={}) == PLAIN
    assert replace(PLAIN, overrides={"CONTIMG_IMAGES_DIR": "/i"}) != PLAIN


def test_no_home_lies_inside_another():
    """Else a scan of one type's names would walk into another's."""
    homes = [PLAIN.home(name) for name in data_types()]
    assert not [(a, b) for a in homes for b in homes if a != b and a.is_relative_to(b)]


def raw(path: str, root: int = 0) -> RawFile:
    return RawFile(path=path, root=root, role="sb00", bytes=1, digest="0")


def test_raw_files_lie_in_one_of_several_directories_or_anywhere():
    layout = Layout(Path("/s"), Path("/d"), {"CONTIMG_INCOMING_DIR": "/one:/two"})
    assert layout.incoming_roots == (Path("/one"), Path("/two"))
    assert layout.raw_file(raw("2026/a", 1)) == Path("/two/2026/a")
    assert layout.raw_file(raw("/three/a")) == Path("/three/a")
    with pytest.raises(BadConfig, match=r"names 2 directories, a lies in number 3"):
        layout.raw_file(raw("a", 2))


def test_a_record_is_found_by_its_id_alone(tmp_path):
    layout = Layout(tmp_path / "s", tmp_path / "d")
    assert layout.find_observation("42") is None
    disk.write(layout.observations / "2026-01-25" / "42.json", "{}")
    disk.write(layout.observations / "2026-01-26" / "420.json", "{}")
    assert layout.find_observation("42") == layout.observations / "2026-01-25" / "42.json"


def test_reference_data_lie_under_the_name_of_their_kind():
    assert PLAIN.reference_file("catalog:nvss.csv") == Path("/d/state/config/catalogs/nvss.csv")
    assert PLAIN.reference_file("flags:2026-01-25") == Path("/d/state/config/flags/2026-01-25.txt")


@pytest.mark.parametrize("name", ["beam:x", "catalog:", "catalog:../../ingest.json", "catalog", "flags:/etc/passwd"])
def test_a_name_of_reference_data_leads_nowhere_else(name):
    with pytest.raises(BadInput, match="is not <kind>:<file> with a kind of"):
        PLAIN.reference_file(name)


def test_raw_files_arrive_somewhere():
    with pytest.raises(BadConfig, match="CONTIMG_INCOMING_DIR names no directory"):
        Layout.from_environment({"CONTIMG_INCOMING_DIR": ":"})


def test_files_by_name():
    assert str(PLAIN.plan("t")) == "/d/state/plans/t.json"
    assert str(PLAIN.inputs("d")) == "/d/state/inputs/d.json"
    assert str(PLAIN.database("toy")) == "/d/state/toy.sqlite3"
    assert str(PLAIN.cache("numba")) == "/s/.cache/numba"
