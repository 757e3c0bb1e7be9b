from __future__ import annotations

import pytest
from bare_files import bare

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
    assert recognise(bare(tmp_path, name)) == kind
