from __future__ import annotations

import os

import pytest
from keeper_site import T0

from contimg.keeper import reference
from contimg.keeper.keeper import Keeper
from contimg.keeper.reference import ReferenceData
from contimg.models.fact import Needs
from contimg.models.spec import Reference
from contimg.volume import disk

ALL = Reference(kind="catalog", directory="config/catalogs")
DATED = Reference(kind="notes", directory="config/notes", suffix=".txt", by_date=True)


@pytest.fixture(autouse=True)
def kinds(layout, monkeypatch):
    found = {item.kind: item for item in (ALL, DATED)}
    monkeypatch.setattr(reference, "references", lambda: found)
    monkeypatch.setattr("contimg.volume.layout.references", lambda: found)
    for item in found.values():
        layout.reference(item.kind).mkdir(parents=True)


def test_a_file_is_read_again_only_when_it_changed(layout, monkeypatch):
    path = layout.reference("catalog") / "nvss.fits"
    path.write_text("one")
    reads = []

    def sha256(file):
        reads.append(file.name)
        return str(len(reads))

    monkeypatch.setattr(disk, "sha256_file", sha256)
    known = ReferenceData(layout)
    assert known.checksums([]) == known.checksums([]) == {"catalog:nvss.fits": "1"}
    os.utime(path, (1, 1))
    assert known.checksums([]) == {"catalog:nvss.fits": "2"}
    path.write_text("longer")
    assert known.checksums([]) == {"catalog:nvss.fits": "3"}
    path.unlink()
    assert known.checksums([]) == {}


def test_only_visible_files_count_and_dated_ones_by_their_date(layout):
    known = ReferenceData(layout)
    assert known.checksums([]) == {}
    for name in ("2026-01-25.txt", "2026-01-26.txt", ".2026-01-25.txt.swp", "readme.md"):
        (layout.reference("notes") / name).touch()
    (layout.reference("catalog") / ".hidden").touch()
    (layout.reference("catalog") / "directory").mkdir()
    assert set(known.checksums(["2026-01-25", "2026-01-24"])) == {"notes:2026-01-25"}


def test_facts_carry_those_of_the_dates_of_the_observations(site, layout):
    site.observation(0)
    (layout.reference("notes") / "2026-01-25.txt").touch()
    (layout.reference("notes") / "2026-01-26.txt").touch()
    with Keeper(layout) as keeper:
        assert set(keeper.facts(Needs(group="g", start=T0)).reference) == {"notes:2026-01-25"}
