from __future__ import annotations

import pytest

from contimg_convert.recognise import recognise


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a_sb00.hdf5", ("", "", "a_sb00")),
        ("n.FITS", ("", "", "n")),
        ("a.txt", None),
    ],
)
def test_what_a_bare_file_is_to_this_stage(tmp_path, name, kind):
    """A slash stands for a measurement set or a table: a directory with its subtables."""
    if name.endswith("/"):
        for table in ("ANTENNA", "FIELD"):
            (tmp_path / name / table).mkdir(parents=True)
    else:
        (tmp_path / name).touch()
    assert recognise(tmp_path / name) == kind
