from __future__ import annotations

import pytest
from bare_files import bare

from contimg_crossmatch.recognise import recognise


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mosaic_g.fits", ("mosaic", "", "mosaic_g")),
        ("mosaic_g_noise.fits", ("mosaic", "noise", "mosaic_g")),
        ("nvss.csv", None),
    ],
)
def test_what_a_bare_file_is_to_this_stage(tmp_path, name, kind):
    assert recognise(bare(tmp_path, name)) == kind
