from __future__ import annotations

import pytest
from bare_files import bare

from contimg_mosaic.recognise import recognise


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.fits", ("image", "fits", "x")),
        ("x_pb.fits", ("image", "pb", "x")),
        ("x.image/", ("image", "", "x")),
        ("x.ms/", None),
    ],
)
def test_what_a_bare_file_is_to_this_stage(tmp_path, name, kind):
    assert recognise(bare(tmp_path, name)) == kind
