from __future__ import annotations

import pytest

from contimg_ingest.walk import Kind, kind_of, walk


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("2026-01-25T22:26:05_sb00.hdf5", Kind.UVH5),
        ("20260125t222600z.uvh5", Kind.UVH5),
        ("NGC5921.fits", Kind.UVFITS),
        ("x.UVFITS", Kind.UVFITS),
        ("2026-01-25T22:26:05_sb00_incomplete.hdf5", Kind.IGNORED),
        ("2026-01-25T22:26:05_sb00_spl.hdf5", Kind.IGNORED),
        (".2026-01-25T22:26:05_sb00.hdf5.Xy12", Kind.IGNORED),
        ("truth.json", Kind.IGNORED),
    ],
)
def test_kind_by_name(name, kind):
    assert kind_of(name) is kind


def test_every_directory_once_in_order(tmp_path):
    for name in ("b/2.hdf5", "a/1.hdf5", "a/deep/3.hdf5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a/up").symlink_to(tmp_path)
    found = walk(tmp_path)
    assert sorted(item.path.name for item in found.files) == ["1.hdf5", "2.hdf5", "3.hdf5"]
    assert len(found.problems) == 2


def test_missing_top_is_told_not_raised(tmp_path):
    found = walk(tmp_path / "gone")
    assert found.files == []
    assert "gone cannot be read" in found.problems[0]


def test_state_of_a_file(tmp_path):
    (tmp_path / "x.hdf5").write_bytes(b"abc")
    (item,) = walk(tmp_path).files
    assert item.size == 3
    assert item == walk(tmp_path).files[0]
    (tmp_path / "x.hdf5").write_bytes(b"abcd")
    assert item != walk(tmp_path).files[0]
