"""A distribution outside the library is installed and its groups are published, without one edit of the library."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from commands import contimg

pytestmark = [pytest.mark.e2e]

SOURCE = Path(__file__).parents[1] / "support" / "toy_instrument"
START = datetime(2026, 1, 25, 22, 0, 0, tzinfo=UTC)
COUNTS = {7001: [5, 5, 5], 7002: [1, 2, 3, 4], 7003: [10, 20], 7010: [1, 1], 7011: [2, 2]}


@pytest.fixture(scope="module")
def toyscope(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the distribution into a directory of its own; returns that directory, for PYTHONPATH."""
    base = tmp_path_factory.mktemp("toyscope")
    shutil.copytree(SOURCE, base / "source")
    target = base / "site"
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", target, base / "source"]
    subprocess.run([sys.executable, "-m", "pip", "install", *map(str, words)], check=True, timeout=300)
    assert list(target.glob("toyscope-*.dist-info"))
    return target


@pytest.fixture(scope="module")
def site(toyscope: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write five recordings into two incoming directories, the first one of the standard."""
    sys.path.insert(0, str(toyscope))
    try:
        from toyscope import raw  # noqa: PLC0415 - installed just now
    finally:
        sys.path.remove(str(toyscope))
    base = tmp_path_factory.mktemp("site")
    for name in ("north", "south"):
        (base / name).mkdir()
    for place, (number, counts) in enumerate(COUNTS.items()):
        root = base / ("north" if place % 2 else "south")
        source = "standard" if number == 7001 else "sky"
        raw.write(root, number, START + timedelta(minutes=place), counts, source)
    return base


def group(site: Path, name: str, members: list[int], **spec: object) -> Path:
    wish = {"pipeline": "toy-sums", "observations": {"members": [str(one) for one in members]}, **spec}
    path = site / f"{name}.yaml"
    head = {"apiVersion": "contimg.dsa110.org/v1alpha1", "kind": "ObservationGroup", "metadata": {"name": name}}
    path.write_text(json.dumps(head | {"spec": wish}))
    return path


def run(toyscope: Path, site: Path, *groups: Path) -> dict:
    """Run groups to their end as a user does."""
    places = {
        "PYTHONPATH": str(toyscope),
        "CONTIMG_STAGE_BASE": str(site / "stage"),
        "CONTIMG_DATA_BASE": str(site / "data"),
        "CONTIMG_INCOMING_DIR": f"{site / 'north'}:{site / 'south'}",
        "CONTIMG_TOY_SUMS_DIR": str(site / "sums"),
    }
    done = contimg("run", *groups, "--json", timeout=180, **places)
    assert done.code == 0, done.err[-3000:]
    return done.json


def total(site: Path, name: str) -> float:
    (found,) = (site / "data" / "products" / "toysums").glob(f"2026-01-25/toy_sum_{name}.json")
    return json.loads(found.read_text())


def test_groups_are_published_by_stages_of_every_scope_and_one_takes_the_weight_of_the_other(toyscope, site):
    first = group(site, "first", [7001, 7002, 7003], publish={"include": ["slices"]})
    second = group(site, "second", [7010, 7011], stages={"slice": {"parts": 3}})
    run(toyscope, site, first, second)
    assert total(site, "first") == 2.0 * (15 + 10 + 30)  # the standard has level 5 instead of 10
    assert total(site, "second") == 2.0 * (2 + 4)
    slices = sorted(path.name for path in (site / "data" / "products" / "toyslices").glob("2026-01-25/*.json"))
    assert [name for name in slices if name.startswith("toy_slice_first")] == [
        "toy_slice_first.part0.json",
        "toy_slice_first.part1.json",
    ]
    assert not [name for name in slices if "second" in name]
    assert list((site / "sums" / ".runs").iterdir())
    manifests = [json.loads(path.read_text()) for path in (site / "data" / "state" / "manifests").rglob("*.json")]
    taken = next(one for one in manifests if one["stage"] == "weigh" and one["unit"] == "second")
    assert taken["options"] == {"mode": "taken", "standard": ""} or taken["options"] == {"mode": "taken"}
    assert {one["unit"] for one in manifests if one["stage"] == "slice"} == {
        *(f"first.part{n}" for n in range(2)),
        *(f"second.part{n}" for n in range(3)),
    }


def test_the_instrument_s_own_database_has_its_rows(toyscope, site):
    with sqlite3.connect(f"file:{site / 'data' / 'state' / 'toyscope.sqlite3'}?mode=ro", uri=True) as database:
        assert dict(database.execute("SELECT id, source FROM sources").fetchall())["7001"] == "standard"
        assert len(database.execute("SELECT level FROM levels").fetchall()) == len(COUNTS)


def test_running_again_does_nothing_and_an_edit_repeats_only_what_it_changes(toyscope, site):
    before = {path.stem for path in (site / "data" / "state" / "manifests").rglob("*.json")}
    first = group(site, "first", [7001, 7002, 7003], publish={"include": ["slices"]})
    run(toyscope, site, first)
    again = {path.stem for path in (site / "data" / "state" / "manifests").rglob("*.json")}
    assert again == before
    run(toyscope, site, group(site, "first", [7001, 7002, 7003], stages={"slice": {"parts": 1}}))
    made = {path.stem for path in (site / "data" / "state" / "manifests").rglob("*.json")} - before
    assert len(made) == 3  # one slice, the sum, the publication
