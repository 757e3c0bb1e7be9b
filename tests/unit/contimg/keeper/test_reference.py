from __future__ import annotations

import os

from contimg.keeper import reference
from contimg.keeper.reference import Reference


def test_a_file_is_read_again_only_when_it_changed(layout, monkeypatch):
    layout.catalogs.mkdir(parents=True)
    path = layout.catalogs / "nvss.fits"
    path.write_text("one")
    reads = []

    def sha256(file):
        reads.append(file.name)
        return str(len(reads))

    monkeypatch.setattr(reference, "sha256_file", sha256)
    known = Reference(layout)
    assert known.checksums() == known.checksums() == {"catalog:nvss.fits": "1"}
    os.utime(path, (1, 1))
    assert known.checksums() == {"catalog:nvss.fits": "2"}
    path.write_text("longer")
    assert known.checksums() == {"catalog:nvss.fits": "3"}
    path.unlink()
    assert known.checksums() == {}


def test_only_visible_files_count(layout):
    assert Reference(layout).checksums() == {}
    layout.flags.mkdir(parents=True)
    layout.catalogs.mkdir(parents=True)
    for name in ("2026-01-25.txt", ".2026-01-26.txt.swp", "notes.md"):
        (layout.flags / name).touch()
    (layout.catalogs / ".hidden").touch()
    (layout.catalogs / "directory").mkdir()
    assert set(Reference(layout).checksums()) == {"flags:2026-01-25"}
