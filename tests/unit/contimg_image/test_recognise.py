from __future__ import annotations

import pytest
from bare_files import bare

from contimg_image.recognise import recognise


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x_cal.ms/", ("calibrated_ms", "", "x")),
        ("x.fits", None),
    ],
)
def test_what_a_bare_file_is_to_this_stage(tmp_path, name, kind):
    assert recognise(bare(tmp_path, name)) == kind
